"""The migration engine: files, ledger, plan, apply. Takes any directory of NNNN_name.sql files; knows no domain."""
