"""Traces and personas by a served model: any endpoint that speaks OpenAI's chat completions, ``vllm serve`` first.

Nothing here opens a connection unless a configuration names an endpoint and an answer is missing from the cache.

Where what is:
    config      ``ServedConfig``: endpoint, model, limits and sampling, read from a mapping
    exchange    a request, its answer, and what became of it
    cache       every answer on disk as it comes
    client      ``ask_all``: many requests at once, retried, rate-limited, interruptible
    run         one call of it
    failures    which failure is of one request, and which stops everything
    spacing     the rate limit
    progress    the bar, the counts, and what is said when it stops
    prompts     the jinja templates (prompts/*.jinja) and the check of a user's own
    service     config, cache and prompts in one, for the three below
    bodies      a completion as reasoning and answer
    traces      SFT traces: what is asked, and which completions are kept
    personas    aligned and conflicting personas
    judge       yes or no on free-form answers that no rule can match
    texts       when a text contains another, and what no generated text may contain

Import from the modules: this one imports nothing, because ``openai`` takes a second and not every build asks a model.
"""
