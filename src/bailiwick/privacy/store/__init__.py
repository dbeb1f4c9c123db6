"""The tables of the privacy ledger and their queries; nobody else touches them."""
