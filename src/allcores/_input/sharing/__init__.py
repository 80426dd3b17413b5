"""What processes must not share: open files, connections and numbers of descriptors that a function leads to.

The cheap question comes first: does this process have anything foreign open at all (`sharing`)? Only then a walk goes
from the function, its arguments and the dataset to what holds a descriptor (`reach`); types say what does (`holders`),
code says which variables it reads (`variables`) and what it uses as numbers of descriptors (`descriptor_numbers`).

It is a part of the input, and a run's start calls it. Nothing is changed, opened or closed here.

Begin with `sharing`.
"""
