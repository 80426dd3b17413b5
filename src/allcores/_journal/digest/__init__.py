"""What things are, in sixteen bytes: the same in every process, different for what differs.

A thing is *described* in bytes, and the description is hashed. Descriptions are words with their length or an end mark,
so that one after another they can be read in only one way; what has no order is sorted by its elements' descriptions.
Neither ``__eq__``, ``__hash__`` nor ``__repr__`` of a user's class has a say: an object is what it says of itself to
pickle.

There are two ways to look at things. As items, functions and classes that can be imported are their names. As what is
computed (`digest_function`), those of the function's own module are their code, too, and so is all that they call
there. Warts:

- A function that is reached as an attribute of a module (``helpers.clean``), or through an object that the function is
  given, is a name only. So is what a list or a dict of a module holds.
- Objects that refer to each other in a circle are told apart by how they are shared, too.
- In a set, or as the key of a dict, a function that `digest_function` finds is its name and its own code.
- Bytecode is another one in another version of Python.

It is a part of the journal, and knows nothing of it.

Begin with `digest`, whose functions are what others call; then `describer`, of which `code` is the other way to look.
"""
