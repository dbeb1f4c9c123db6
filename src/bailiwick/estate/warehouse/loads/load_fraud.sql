-- Fraud alerts with the card they concern; the case starts open.
INSERT INTO TABLE core.fraud_alert
SELECT s.alert_id, s.auth_id, x.card_id, s.rule_code, s.score, s.raised_at, 'open' AS case_state
FROM landing.fraud_alert_stream s
JOIN core.card_authorisation x ON x.auth_id = s.auth_id;
