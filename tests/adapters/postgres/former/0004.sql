-- merchants._ADD
INSERT INTO merchants (merchant_id, platform, platform_account_id, platform_domain, currency, registered_at) SELECT anon_1.merchant_id, anon_1.platform, anon_1.platform_account_id, anon_1.platform_domain, anon_1.currency, anon_1.registered_at 
FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TIMESTAMP WITH TIME ZONE[]) AS anon_1(merchant_id, platform, platform_account_id, platform_domain, currency, registered_at) ORDER BY anon_1.merchant_id ON CONFLICT DO NOTHING RETURNING merchants.merchant_id;

-- merchants._LOCK_MANY
SELECT merchants.merchant_id, merchants.platform, merchants.platform_account_id, merchants.platform_domain, merchants.currency, merchants.registered_at 
FROM merchants 
WHERE merchants.merchant_id = ANY ($1::TEXT[]) ORDER BY merchants.merchant_id FOR NO KEY UPDATE;

-- trials._CLAIM
INSERT INTO trial_claims (platform, platform_account_id, merchant_id, trial_id) VALUES ($1::VARCHAR, $2::VARCHAR, $3::VARCHAR, $4::UUID) ON CONFLICT DO NOTHING;

-- trials._LOCK_CLAIM
SELECT trial_claims.merchant_id, trial_claims.trial_id 
FROM trial_claims 
WHERE trial_claims.platform = $1::VARCHAR AND trial_claims.platform_account_id = $2::VARCHAR FOR UPDATE;
