//! Linear programs behind one small interface.
