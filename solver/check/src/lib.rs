//! The trusted base: exact arithmetic replay of counterexamples.
