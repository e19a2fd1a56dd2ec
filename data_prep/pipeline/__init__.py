"""The two passes of a build, each a pure function of one chunk that any engine can run.

reading    first pass: raw rows to records, their keys and signatures, and what was rejected
records    records as bytes, in chunks
rejects    rejected rows, counted and written down
spool      what the first pass leaves on disk for the second
plan       what becomes of each record: split, conditions, files
answers    answers of open questions, for personas that assert a wrong one
asking     what a served model is asked for between the passes
finishing  second pass: records to rows of verl's files
parquet    rows to parquet files, in row groups of a fixed size
staging    a folder that takes the place of the output only as a whole
"""
