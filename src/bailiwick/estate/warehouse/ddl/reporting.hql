-- Reporting: what dashboards and the domain teams read.
CREATE DATABASE IF NOT EXISTS reporting;

CREATE TABLE reporting.customer_overview (
  customer_id   BIGINT,
  full_name     VARCHAR(120),
  city          VARCHAR(60),
  accounts      INT,
  total_balance DECIMAL(18,2),
  active_cards  INT,
  open_loans    INT
) STORED AS PARQUET;

CREATE TABLE reporting.payment_daily (
  payment_kind STRING,
  currency     CHAR(3),
  payments     BIGINT,
  volume_eur   DECIMAL(20,2)
)
PARTITIONED BY (business_date DATE)
STORED AS PARQUET;

CREATE TABLE reporting.card_spending_monthly (
  card_product STRING,
  category     STRING,
  month_start  DATE,
  spending     DECIMAL(18,2),
  cards        BIGINT
) STORED AS PARQUET;

CREATE TABLE reporting.loan_arrears (
  loan_id       BIGINT,
  customer_id   BIGINT,
  days_overdue  INT,
  overdue       DECIMAL(14,2)
) STORED AS PARQUET;

CREATE TABLE reporting.fraud_case_board (
  alert_id    STRING,
  card_id     BIGINT,
  full_name   VARCHAR(120),
  amount      DECIMAL(12,2),
  score       DOUBLE,
  case_state  STRING
) STORED AS PARQUET;

CREATE VIEW reporting.overdrawn_customers AS
SELECT c.customer_id, c.full_name, a.iban, a.balance
FROM core.customer c
JOIN core.account a ON a.customer_id = c.customer_id
WHERE a.overdrawn;

CREATE VIEW reporting.blocked_cards AS
SELECT k.card_id, k.card_product, k.card_status, cu.full_name, cu.mobile
FROM core.card k
JOIN core.account a ON a.account_id = k.account_id
JOIN core.customer cu ON cu.customer_id = a.customer_id
WHERE k.card_status <> 'active';
