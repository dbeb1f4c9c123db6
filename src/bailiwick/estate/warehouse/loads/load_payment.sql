-- Payments in euro: a temporary table holds the newest rate of each currency.
CREATE TEMPORARY TABLE newest_rate AS
SELECT currency, rate_eur
FROM (
  SELECT currency, rate_eur, row_number() OVER (PARTITION BY currency ORDER BY quoted_on DESC) AS age
  FROM core.exchange_rate
) ranked
WHERE age = 1;

INSERT INTO TABLE core.payment PARTITION (business_date)
SELECT
  f.payment_id                                                  AS payment_id,
  a.account_id                                                  AS account_id,
  f.creditor_iban                                               AS counterparty,
  cast(f.amount AS DECIMAL(16,2))                               AS amount,
  f.currency                                                    AS currency,
  cast(f.amount AS DECIMAL(16,2)) * coalesce(r.rate_eur, 1)     AS amount_eur,
  f.kind                                                        AS payment_kind,
  f.mandate_ref                                                 AS mandate_ref,
  cast(f.executed_at AS TIMESTAMP)                              AS executed_at,
  to_date(f.delivery_date)                                      AS business_date
FROM landing.payment_file f
JOIN core.account a ON a.iban = f.debtor_iban
LEFT JOIN newest_rate r ON r.currency = f.currency;
