//! Networks as data: graph, operators, evaluation, derivatives, formats, properties.
