-- journal._NOTE.one
INSERT INTO history (merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, reason, correlation_id) SELECT given.merchant_id, given.subject_id, given.number, given.subject, given.what, given.status_before, given.status_after, given.at, given.actor, given.reason, given.correlation_id 
FROM (SELECT $1::VARCHAR AS merchant_id, $2::UUID AS subject_id, $3::BIGINT AS number, $4::VARCHAR AS subject, $5::VARCHAR AS what, $6::VARCHAR AS status_before, $7::VARCHAR AS status_after, $8::TIMESTAMP WITH TIME ZONE AS at, $9::VARCHAR AS actor, $10::VARCHAR AS reason, $11::VARCHAR AS correlation_id) AS given RETURNING 1;

-- journal._NOTE.many
INSERT INTO history (merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, reason, correlation_id) SELECT anon_1.merchant_id, anon_1.subject_id, anon_1.number, anon_1.subject, anon_1.what, anon_1.status_before, anon_1.status_after, anon_1.at, anon_1.actor, anon_1.reason, anon_1.correlation_id 
FROM unnest($1::TEXT[], $2::UUID[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TIMESTAMP WITH TIME ZONE[], $9::TEXT[], $10::TEXT[], $11::TEXT[]) AS anon_1(merchant_id, subject_id, number, subject, what, status_before, status_after, at, actor, reason, correlation_id) RETURNING 1;

-- records.HISTORY
SELECT history.merchant_id, history.subject_id, history.number, history.subject, history.what, history.status_before, history.status_after, history.at, history.actor, history.reason, history.correlation_id 
FROM history 
WHERE history.merchant_id = $1::VARCHAR AND history.subject_id = $2::UUID ORDER BY history.number;
