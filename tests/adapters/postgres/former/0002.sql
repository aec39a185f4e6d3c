-- parked._ADD
INSERT INTO parked_messages (parked_id, source, message_id, subject, body, headers, reason, parked_at, replayed_at) SELECT anon_1.parked_id, anon_1.source, anon_1.message_id, anon_1.subject, anon_1.body, anon_1.headers, anon_1.reason, anon_1.parked_at, anon_1.replayed_at
FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BYTEA[], $6::JSON[], $7::TEXT[], $8::TIMESTAMP WITH TIME ZONE[], $9::TIMESTAMP WITH TIME ZONE[]) AS anon_1(parked_id, source, message_id, subject, body, headers, reason, parked_at, replayed_at) ORDER BY anon_1.source, anon_1.message_id ON CONFLICT (source, message_id) WHERE replayed_at IS NULL DO NOTHING;

-- parked._GET
SELECT parked_messages.parked_id, parked_messages.source, parked_messages.message_id, parked_messages.subject, parked_messages.body, parked_messages.headers, parked_messages.reason, parked_messages.parked_at, parked_messages.replayed_at
FROM parked_messages
WHERE parked_messages.parked_id = $1::UUID;

-- parked._LIST
SELECT parked_messages.parked_id, parked_messages.source, parked_messages.message_id, parked_messages.subject, parked_messages.body, parked_messages.headers, parked_messages.reason, parked_messages.parked_at, parked_messages.replayed_at
FROM parked_messages ORDER BY parked_messages.parked_at DESC, parked_messages.parked_id DESC
 LIMIT $1::BIGINT;

-- parked._LIST_WAITING
SELECT parked_messages.parked_id, parked_messages.source, parked_messages.message_id, parked_messages.subject, parked_messages.body, parked_messages.headers, parked_messages.reason, parked_messages.parked_at, parked_messages.replayed_at
FROM parked_messages
WHERE parked_messages.replayed_at IS NULL ORDER BY parked_messages.parked_at DESC, parked_messages.parked_id DESC
 LIMIT $1::BIGINT;

-- parked._MARK_REPLAYED
UPDATE parked_messages SET replayed_at=$1::TIMESTAMP WITH TIME ZONE WHERE parked_messages.parked_id = $2::UUID;
