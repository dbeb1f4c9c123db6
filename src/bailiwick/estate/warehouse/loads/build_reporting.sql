-- The reporting tables. The first statement fills two of them in one scan.
FROM core.payment p
INSERT OVERWRITE TABLE reporting.payment_daily PARTITION (business_date)
  SELECT p.payment_kind, p.currency, count(*) AS payments, sum(p.amount_eur) AS volume_eur, p.business_date
  GROUP BY p.payment_kind, p.currency, p.business_date;

WITH balances AS (
  SELECT customer_id, count(*) AS accounts, sum(balance) AS total_balance
  FROM core.account
  GROUP BY customer_id
), cards AS (
  SELECT a.customer_id, count(*) AS active_cards
  FROM core.card k JOIN core.account a ON a.account_id = k.account_id
  WHERE k.card_status = 'active'
  GROUP BY a.customer_id
), loans AS (
  SELECT customer_id, count(*) AS open_loans FROM core.loan GROUP BY customer_id
)
INSERT OVERWRITE TABLE reporting.customer_overview
SELECT c.customer_id, c.full_name, c.city, b.accounts, b.total_balance, k.active_cards, l.open_loans
FROM core.customer c
LEFT JOIN balances b ON b.customer_id = c.customer_id
LEFT JOIN cards k ON k.customer_id = c.customer_id
LEFT JOIN loans l ON l.customer_id = c.customer_id;

INSERT OVERWRITE TABLE reporting.card_spending_monthly
SELECT k.card_product, x.category, trunc(x.authorised_at, 'MM') AS month_start, sum(x.amount) AS spending, count(DISTINCT x.card_id) AS cards
FROM core.card_authorisation x
JOIN core.card k ON k.card_id = x.card_id
GROUP BY k.card_product, x.category, trunc(x.authorised_at, 'MM');

INSERT OVERWRITE TABLE reporting.loan_arrears
SELECT l.loan_id, l.customer_id, max(datediff(current_date, i.due_on)) AS days_overdue, sum(i.amount) AS overdue
FROM core.loan l
JOIN core.loan_instalment i ON i.loan_id = l.loan_id
WHERE i.paid_on IS NULL AND i.due_on < current_date
GROUP BY l.loan_id, l.customer_id;

INSERT OVERWRITE TABLE reporting.fraud_case_board
SELECT f.alert_id, f.card_id, c.full_name, x.amount, f.score, f.case_state
FROM core.fraud_alert f
JOIN core.card_authorisation x ON x.auth_id = f.auth_id
JOIN core.card k ON k.card_id = f.card_id
JOIN core.account a ON a.account_id = k.account_id
JOIN core.customer c ON c.customer_id = a.customer_id
WHERE f.case_state <> 'dismissed';

MSCK REPAIR TABLE reporting.payment_daily;
