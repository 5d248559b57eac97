"""The essay's example: a network with three units learns the word "hello".

python examples/hello.py
"""

import charpipe

run = charpipe.train("hello", arch="rnn", settings={"architectures.rnn.hidden_size": 3})
for row in run.predictions:
    likeliest = max(row["next"], key=row["next"].get)
    print(f"after {row['text']!r:<8} it expects {likeliest!r} with probability {row['next'][likeliest]:.3f}")

model = charpipe.load(run.name)
print(f"{model.name}: {model.model.title}, {model.model.parameters} parameters")
