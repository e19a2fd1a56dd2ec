"""What can go wrong before the first CUDA call, found without one: ``personadual doctor --config NAME``.

Where what is:
    findings        what a check says: what was looked at, required, found, and what to do
    compose         the configuration as verl's trainer would get it
    setup           that configuration, and the model's config and tokenizer, loaded once
    install         packages and what is registered with verl
    configuration   our settings, trainers and what the asynchronous ones ask for
    verl_checks     verl's own validation and its blocks as dataclasses
    workers         what verl only finds out in its workers: rewards, loggers, attention, device
    arithmetic      nearest valid numbers
    parallel        processes, and what they divide between them
    batches         batch sizes, shares of the modes
    lengths         contexts and token budgets
    template        the chat template under the real tokenizer
    data            the files, by the rules of ``personadual data validate``, and the trainer's own
    data_files      rows of parquet files
    data_lengths    tokens of a sample of rows
    probe           how likely the model makes each mode's prefix
    hardware        devices, disk, shared memory
    resume          the checkpoint that a run would go on from
    memory          an estimate of each GPU's memory
    cluster         every node of a Ray cluster
    runner          all of them, in this order
    show            the findings as a table and as JSON

Checks work on plain values where they can, and import verl, torch and transformers only when they run.
"""
