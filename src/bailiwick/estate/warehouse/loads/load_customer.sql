-- Customers: the latest delivery of each number wins.
SET hivevar:delivery=2026-03-01;

INSERT OVERWRITE TABLE core.customer
SELECT
  abs(hash(f.customer_no))                       AS customer_id,
  f.customer_no                                  AS customer_no,
  initcap(trim(f.full_name))                     AS full_name,
  to_date(f.date_of_birth)                       AS date_of_birth,
  f.postcode                                     AS postcode,
  f.city                                         AS city,
  lower(f.email)                                 AS email,
  regexp_replace(f.mobile, '[^0-9+]', '')        AS mobile,
  b.branch_code                                  AS branch_code,
  to_date('${hivevar:delivery}')                 AS valid_from
FROM landing.customer_file f
LEFT JOIN core.branch b ON b.branch_code = f.branch_code
WHERE f.delivery_date = '${hivevar:delivery}';
