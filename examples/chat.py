"""Asks a served PersonaDual model, free and forced: python examples/chat.py [QUESTION] [PROFILE]

The server is examples/serve.sh's; BASE_URL is another's. `pip install openai` gives the client.
"""

import os
import sys

from openai import OpenAI

from personadual.data_prep.chat import prompt_messages
from personadual.modes import DEFAULT_MODES
from personadual.serving.client import ask

client = OpenAI(base_url=os.environ.get("BASE_URL", "http://localhost:8000/v1"), api_key="none")
model = client.models.list().data[0].id
question = sys.argv[1] if len(sys.argv) > 1 else "Which city is the capital of Australia?"
profile = sys.argv[2] if len(sys.argv) > 2 else "I live in Sydney, and my friends call it the capital."

for mode in (None, *DEFAULT_MODES.names):
    answer = ask(client, model, prompt_messages(profile, question), mode=mode, temperature=0)
    print(f"{'asked in ' + mode if mode else 'free'}: {answer.mode}\n{answer.text}\n")
