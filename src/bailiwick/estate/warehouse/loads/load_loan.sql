-- Loans, mortgages and their instalments: one pass over each file.
INSERT OVERWRITE TABLE core.loan
SELECT
  abs(hash(f.loan_no))                    AS loan_id,
  c.customer_id                           AS customer_id,
  cast(f.principal AS DECIMAL(14,2))      AS principal,
  cast(f.interest_rate AS DECIMAL(6,4))   AS interest_rate,
  to_date(f.granted_on)                   AS granted_on,
  cast(f.term_months AS INT)              AS term_months,
  f.collateral                            AS collateral
FROM landing.loan_file f
JOIN core.customer c ON c.customer_no = f.customer_no;

INSERT OVERWRITE TABLE core.loan_instalment
SELECT l.loan_id, to_date(i.due_on), cast(i.amount AS DECIMAL(12,2)), to_date(i.paid_on)
FROM landing.loan_instalment_file i
JOIN core.loan l ON l.loan_id = abs(hash(i.loan_no));
