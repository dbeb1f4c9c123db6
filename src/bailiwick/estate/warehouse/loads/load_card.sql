-- Cards, and their authorisations from the switch.
INSERT OVERWRITE TABLE core.card
SELECT
  abs(hash(f.card_no)) AS card_id,
  a.account_id         AS account_id,
  f.card_product       AS card_product,
  to_date(f.issued_on) AS issued_on,
  CASE f.status WHEN 'A' THEN 'active' WHEN 'B' THEN 'blocked' WHEN 'S' THEN 'stolen' ELSE 'lost' END AS card_status,
  cast(f.daily_limit AS DECIMAL(10,2)) AS daily_limit
FROM landing.card_file f
JOIN core.account a ON a.iban = f.iban;

INSERT INTO TABLE core.card_authorisation PARTITION (business_date)
SELECT
  s.payload.auth_id           AS auth_id,
  k.card_id                   AS card_id,
  s.payload.merchant.id       AS merchant_id,
  s.payload.merchant.country  AS merchant_country,
  s.payload.merchant.category AS category,
  s.payload.amount            AS amount,
  s.payload.at                AS authorised_at,
  to_date(s.delivery_date)    AS business_date
FROM landing.card_authorisation_stream s
JOIN core.card k ON k.card_id = abs(hash(s.payload.card_no));
