"""Arithmetic on task vectors: combine runs into one run of the method `combined`.

The rule of signs: an operand is the change that serving its variant makes to the weights of the base,

    v = sign * coefficient * (alpha / rank) * B A,

with sign -1 for a negated method and +1 for an applied one (or `acquired:`). All arithmetic is on these changes, so
negated and applied runs may be mixed. The result is stored as it is and the method `combined` is applied: serving it at
coefficient 1 adds the result to the base.
"""
