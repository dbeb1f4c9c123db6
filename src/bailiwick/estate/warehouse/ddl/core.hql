-- Core: typed, deduplicated, keyed. Keys are declared for readers and optimisers; Hive does not enforce them.
CREATE DATABASE IF NOT EXISTS core;

CREATE TABLE core.branch (
  branch_code CHAR(4) NOT NULL,
  branch_name VARCHAR(60),
  city        VARCHAR(60),
  PRIMARY KEY (branch_code) DISABLE NOVALIDATE
) STORED AS ORC;

CREATE TABLE core.customer (
  customer_id   BIGINT COMMENT 'surrogate key',
  customer_no   VARCHAR(12),
  full_name     VARCHAR(120),
  date_of_birth DATE,
  postcode      VARCHAR(10),
  city          VARCHAR(60),
  email         VARCHAR(120),
  mobile        VARCHAR(20),
  branch_code   CHAR(4),
  valid_from    DATE,
  PRIMARY KEY (customer_id) DISABLE NOVALIDATE RELY,
  CONSTRAINT fk_customer_branch FOREIGN KEY (branch_code) REFERENCES core.branch (branch_code) DISABLE NOVALIDATE
)
COMMENT 'One row per customer, the latest delivery wins'
CLUSTERED BY (customer_id) INTO 16 BUCKETS
STORED AS ORC
TBLPROPERTIES ('transactional'='true', 'owner'='customer-and-accounts');

CREATE TABLE core.account (
  account_id   BIGINT,
  iban         VARCHAR(34),
  customer_id  BIGINT,
  product_code VARCHAR(8),
  opened_on    DATE,
  balance      DECIMAL(16,2) COMMENT 'balance at the end of the day',
  overdrawn    BOOLEAN
)
COMMENT 'Current and savings accounts'
PARTITIONED BY (business_date DATE)
STORED AS ORC;

ALTER TABLE core.account ADD CONSTRAINT pk_account PRIMARY KEY (account_id) DISABLE NOVALIDATE RELY;
ALTER TABLE core.account ADD CONSTRAINT fk_account_customer FOREIGN KEY (customer_id) REFERENCES core.customer (customer_id) DISABLE NOVALIDATE RELY;

CREATE TABLE core.card (
  card_id      BIGINT,
  account_id   BIGINT,
  card_product VARCHAR(12),
  issued_on    DATE,
  card_status  STRING COMMENT 'active, blocked, stolen or lost',
  daily_limit  DECIMAL(10,2)
)
COMMENT 'Debit and credit cards'
STORED AS ORC;

ALTER TABLE core.card ADD CONSTRAINT pk_card PRIMARY KEY (card_id) DISABLE NOVALIDATE;
ALTER TABLE core.card ADD CONSTRAINT fk_card_account FOREIGN KEY (account_id) REFERENCES core.account (account_id) DISABLE NOVALIDATE;

CREATE TABLE core.card_authorisation (
  auth_id          STRING,
  card_id          BIGINT,
  merchant_id      STRING,
  merchant_country CHAR(2),
  category         STRING,
  amount           DECIMAL(12,2),
  authorised_at    TIMESTAMP
)
PARTITIONED BY (business_date DATE)
CLUSTERED BY (card_id) SORTED BY (authorised_at) INTO 32 BUCKETS
STORED AS ORC;

ALTER TABLE core.card_authorisation ADD CONSTRAINT fk_auth_card FOREIGN KEY (card_id) REFERENCES core.card (card_id) DISABLE NOVALIDATE;

CREATE TABLE core.payment (
  payment_id    STRING,
  account_id    BIGINT,
  counterparty  STRING COMMENT 'IBAN of the other side',
  amount        DECIMAL(16,2),
  currency      CHAR(3),
  amount_eur    DECIMAL(16,2),
  payment_kind  STRING COMMENT 'transfer, standing order or direct debit',
  mandate_ref   STRING,
  executed_at   TIMESTAMP
)
COMMENT 'Every payment in its own currency and in euro'
PARTITIONED BY (business_date DATE)
STORED AS ORC;

ALTER TABLE core.payment ADD CONSTRAINT fk_payment_account FOREIGN KEY (account_id) REFERENCES core.account (account_id) DISABLE NOVALIDATE;

CREATE TABLE core.exchange_rate (
  currency  CHAR(3),
  rate_eur  DECIMAL(12,6) COMMENT 'euro for one unit of the currency',
  quoted_on DATE
) STORED AS ORC;

CREATE TABLE core.loan (
  loan_id       BIGINT,
  customer_id   BIGINT,
  principal     DECIMAL(14,2),
  interest_rate DECIMAL(6,4),
  granted_on    DATE,
  term_months   INT,
  collateral    STRING
)
COMMENT 'Loans and mortgages'
STORED AS ORC;

ALTER TABLE core.loan ADD CONSTRAINT pk_loan PRIMARY KEY (loan_id) DISABLE NOVALIDATE;
ALTER TABLE core.loan ADD CONSTRAINT fk_loan_customer FOREIGN KEY (customer_id) REFERENCES core.customer (customer_id) DISABLE NOVALIDATE;

CREATE TABLE core.loan_instalment (
  loan_id  BIGINT,
  due_on   DATE,
  amount   DECIMAL(12,2),
  paid_on  DATE
) STORED AS ORC;

ALTER TABLE core.loan_instalment ADD CONSTRAINT fk_instalment_loan FOREIGN KEY (loan_id) REFERENCES core.loan (loan_id) DISABLE NOVALIDATE;

CREATE TABLE core.fraud_alert (
  alert_id   STRING,
  auth_id    STRING,
  card_id    BIGINT,
  rule_code  STRING,
  score      DOUBLE,
  raised_at  TIMESTAMP,
  case_state STRING COMMENT 'open, confirmed or dismissed'
)
COMMENT 'Alerts with the state of their case'
STORED AS ORC;
