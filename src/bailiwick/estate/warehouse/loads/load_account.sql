-- Accounts and their balance at the end of the day.
INSERT OVERWRITE TABLE core.account PARTITION (business_date)
SELECT
  abs(hash(f.iban))                                             AS account_id,
  f.iban                                                        AS iban,
  c.customer_id                                                 AS customer_id,
  f.product_code                                                AS product_code,
  to_date(f.opened_on)                                          AS opened_on,
  cast(regexp_replace(f.balance, ',', '.') AS DECIMAL(16,2))    AS balance,
  cast(regexp_replace(f.balance, ',', '.') AS DECIMAL(16,2)) < 0 AS overdrawn,
  to_date(f.delivery_date)                                      AS business_date
FROM landing.account_file f
JOIN core.customer c ON c.customer_no = f.customer_no
WHERE f.delivery_date = '${hiveconf:delivery}';
