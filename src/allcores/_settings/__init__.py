"""Settings of the interpreter and of libraries: no argument shows them, and yet functions hang on them.

One table says how each is read and made (`setting`; `interpreter`, `libraries`, `context_variables` and
`warning_filters` fill it). A snapshot is taken in the thread that hands items in, and adopted by whoever runs them.
Nothing else of the package reads or writes a setting.

It stands on the codec, as the values travel pickled. Workers, engines and runs import it.

Begin with `setting`, then `snapshot` and `adoption`; `conditions` is the same for threads.
"""
