"""A trained model in Python: what it expects, how it writes, what it carries.

python examples/state.py
"""

import charpipe

run = charpipe.train(
    "hello",
    arch="rnn",
    settings={"architectures.rnn.hidden_size": 3, "train.steps": 1000, "tracking.enabled": False},
)
rnn = charpipe.load(run.name)
print(rnn)

for character in "hel":
    expected = rnn.step(character)  # the state is carried from one call to the next
    print(f"after {character!r}:")
    print(expected)

after_hel = rnn.state.copy()
print("units after 'hel':", [round(value, 2) for value in after_hel["hidden"].flatten().tolist()])

kept = rnn.state
print("it goes on with", repr(rnn.sample(length=2, temperature=0)))
rnn.state = kept
print("and again with ", repr(rnn.sample(length=2, temperature=0)))

rnn.reset()
print(f"'hello' costs {rnn.bits_per_char('hello'):.3f} bits per character")
print("written:", "|".join(rnn.stream("h", length=4, temperature=0)))
