//! Sound bounds and complete branch and bound.
