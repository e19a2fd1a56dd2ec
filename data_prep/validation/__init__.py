"""Checks of verl's parquet files, ours or anybody's: what ``personadual data validate`` runs.

Where what is:
    catalogue   every check: its name, severity, what is required and how to mend it
    findings    what was found, repeated findings gathered into one
    reading     the file by row groups, with the types that its schema gives
    columns     the columns and types that verl and the graders read
    chats       roles and contents of a chat
    markers     mode tags, answer blocks and control tokens in a text
    rl          the rows of an RL file
    sft         the rows of an SFT file
    lengths     token lengths after the chat template
    ledger      what takes several rows or files: repeats, contradictions, leaks
    balance     modes and conditions
    files       all of it over files
    show        the result as text and as JSON
"""
