-- Landing zone: one table per file that the source systems deliver, as they deliver it.
CREATE DATABASE IF NOT EXISTS landing COMMENT 'Files of the source systems, unchanged' LOCATION '/data/landing';

CREATE EXTERNAL TABLE IF NOT EXISTS landing.customer_file (
  customer_no   STRING COMMENT 'number of the customer in the branch system',
  full_name     STRING,
  date_of_birth STRING,
  street        STRING,
  postcode      STRING,
  city          STRING,
  email         STRING,
  mobile        STRING,
  branch_code   STRING
)
COMMENT 'Customers as the branch system exports them every evening'
PARTITIONED BY (delivery_date STRING)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ';' STORED AS TEXTFILE
LOCATION '/data/landing/customer';

CREATE EXTERNAL TABLE IF NOT EXISTS landing.account_file (
  iban         STRING,
  customer_no  STRING,
  product_code STRING,
  opened_on    STRING,
  balance      STRING COMMENT 'amount with a comma, two decimals'
)
COMMENT 'Current and savings accounts with their balance at the end of the day'
PARTITIONED BY (delivery_date STRING)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ';' STORED AS TEXTFILE
LOCATION '/data/landing/account';

CREATE EXTERNAL TABLE IF NOT EXISTS landing.card_file (
  card_no      STRING,
  iban         STRING,
  card_product STRING,
  issued_on    STRING,
  status       STRING COMMENT 'A active, B blocked, S stolen, L lost',
  daily_limit  STRING
)
COMMENT 'Debit and credit cards of the card processor'
PARTITIONED BY (delivery_date STRING)
STORED AS TEXTFILE
LOCATION '/data/landing/card';

CREATE EXTERNAL TABLE IF NOT EXISTS landing.card_authorisation_stream (
  payload STRUCT<auth_id:STRING, card_no:STRING, merchant:STRUCT<id:STRING, country:STRING, category:STRING>, amount:DECIMAL(12,2), at:TIMESTAMP>,
  headers MAP<STRING, STRING>
)
COMMENT 'Card authorisations as the switch emits them'
PARTITIONED BY (delivery_date STRING)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS TEXTFILE
LOCATION '/data/landing/card_authorisation';

CREATE EXTERNAL TABLE IF NOT EXISTS landing.payment_file (
  payment_id      STRING,
  debtor_iban     STRING,
  creditor_iban   STRING,
  amount          STRING,
  currency        STRING,
  kind            STRING COMMENT 'transfer, standing order or direct debit',
  mandate_ref     STRING,
  executed_at     STRING
)
COMMENT 'Payments that left or reached the bank'
PARTITIONED BY (delivery_date STRING)
STORED AS TEXTFILE;

CREATE EXTERNAL TABLE IF NOT EXISTS landing.loan_file (
  loan_no       STRING,
  customer_no   STRING,
  principal     STRING,
  interest_rate STRING,
  granted_on    STRING,
  term_months   STRING,
  collateral    STRING
)
COMMENT 'Loans and mortgages of the lending system'
PARTITIONED BY (delivery_date STRING)
STORED AS TEXTFILE;

CREATE EXTERNAL TABLE IF NOT EXISTS landing.loan_instalment_file (
  loan_no   STRING,
  due_on    STRING,
  amount    STRING,
  paid_on   STRING
)
COMMENT 'Instalments, due and paid'
PARTITIONED BY (delivery_date STRING)
STORED AS TEXTFILE;

CREATE EXTERNAL TABLE IF NOT EXISTS landing.fraud_alert_stream (
  alert_id  STRING,
  auth_id   STRING,
  rule_code STRING,
  score     DOUBLE,
  raised_at TIMESTAMP
)
COMMENT 'Alerts of the transaction monitoring engine'
PARTITIONED BY (delivery_date STRING)
STORED AS ORC;
