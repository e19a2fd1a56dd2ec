"""What a training run's log says while it runs: ``personadual plot``.

Where what is: ``logs`` (one file), ``runs`` (the files of a run, joined), ``series`` (which curve a metric's name
means), ``signs`` and ``thresholds`` (failure signs), ``figures``, ``cli``.
"""
