//! Problems written out, small enough to check by hand, with the values of the literature.
//!
//! # Source
//! W. Hock, K. Schittkowski, "Test examples for nonlinear programming codes" (`hs…`); Z.-Q. Luo, J.-S. Pang,
//! D. Ralph, "Mathematical programs with equilibrium constraints", and the papers named at the problems.

use super::{Known, Problem, Unread};
use crate::ampl::AmplModel;

/// Name, model, best known value.
const PROBLEMS: [(&str, &str, f64); 17] = [
    (
        "hs6",
        "var u := -1.2; var v := 1;
         minimize f: (1 - u)^2;
         c: 10*(v - u^2) = 0;",
        0.0,
    ),
    (
        "hs7",
        "var u := 2; var v := 2;
         minimize f: log(1 + u^2) - v;
         c: (1 + u^2)^2 + v^2 = 4;",
        -1.732_050_807_568_877_2,
    ),
    (
        "hs28",
        "var x{1..3};
         minimize f: (x[1] + x[2])^2 + (x[2] + x[3])^2;
         c: x[1] + 2*x[2] + 3*x[3] = 1;
         data; let x[1] := -4; let x[2] := 1; let x[3] := 1;",
        0.0,
    ),
    (
        "hs35",
        "set I := 1..3; var x{I} >= 0, := 0.5;
         minimize f: 9 - 8*x[1] - 6*x[2] - 4*x[3] + 2*x[1]^2 + 2*x[2]^2 + x[3]^2 + 2*x[1]*x[2] + 2*x[1]*x[3];
         c: x[1] + x[2] + 2*x[3] <= 3;",
        0.111_111_111_111_111_1,
    ),
    (
        "hs71",
        "set I := 1..4; param s{I}; var x{i in I} >= 1, <= 5, := s[i];
         minimize f: x[1]*x[4]*(x[1] + x[2] + x[3]) + x[3];
         product: prod{i in I} x[i] >= 25;
         sphere: sum{i in I} x[i]^2 = 40;
         data; param s := 1 1  2 5  3 5  4 1;",
        17.014_017_3,
    ),
    (
        "hs76",
        "var x{1..4} >= 0, := 0.5;
         minimize f: x[1]^2 + 0.5*x[2]^2 + x[3]^2 + 0.5*x[4]^2 - x[1]*x[3] + x[3]*x[4]
                     - x[1] - 3*x[2] + x[3] - x[4];
         a: x[1] + 2*x[2] + x[3] + x[4] <= 5;
         b: 3*x[1] + x[2] + 2*x[3] - x[4] <= 4;
         c: x[2] + 4*x[3] >= 1.5;",
        -4.681_818_181_818_182,
    ),
    (
        "hs100",
        "var x{i in 1..7} := if i == 1 then 1 else if i == 2 then 2 else if i == 4 then 4
                             else if i == 6 or i == 7 then 1 else 0;
         minimize f: (x[1] - 10)^2 + 5*(x[2] - 12)^2 + x[3]^4 + 3*(x[4] - 11)^2 + 10*x[5]^6 + 7*x[6]^2 + x[7]^4
                     - 4*x[6]*x[7] - 10*x[6] - 8*x[7];
         a: 127 - 2*x[1]^2 - 3*x[2]^4 - x[3] - 4*x[4]^2 - 5*x[5] >= 0;
         b: 282 - 7*x[1] - 3*x[2] - 10*x[3]^2 - x[4] + x[5] >= 0;
         c: 196 - 23*x[1] - x[2]^2 - 6*x[6]^2 + 8*x[7] >= 0;
         d: -4*x[1]^2 - x[2]^2 + 3*x[1]*x[2] - 2*x[3]^2 - 5*x[6] + 11*x[7] >= 0;",
        680.630_057_3,
    ),
    (
        // J. F. Bard, "Convex two-level optimization".
        "bard-quadratic",
        "var x >= 0; var y >= 0; var m{1..3};
         minimize upper: (x - 5)^2 + (2*y + 1)^2;
         stationary: 2*(y - 1) - 1.5*x + m[1] - 0.5*m[2] + m[3] = 0;
         a: 0 <= 3*x - y - 3 complements m[1] >= 0;
         b: 0 <= 0.5*y - x + 4 complements m[2] >= 0;
         c: 0 <= 7 - x - y complements m[3] >= 0;",
        17.0,
    ),
    (
        // S. Dempe, "A necessary and sufficient optimality condition for bilevel programming problems".
        "dempe",
        "var x; var z; var w >= 0;
         minimize f: (x - 3.5)^2 + (z + 4)^2;
         a: z - 3 + 2*z*w = 0;
         b: 0 >= z^2 - x complements w >= 0;
         data; let x := 1; let z := 1; let w := 1;",
        28.25,
    ),
    (
        // A. H. de Silva, dissertation, after the restatement of F. Facchinei, H. Jiang and L. Qi.
        "de-silva",
        "set I := {1, 2}; var x{I} >= 0, <= 2; var y{I}; var m{I} >= 0;
         minimize f: sum{i in I} (x[i]^2 - 2*x[i] + y[i]^2);
         stationary{i in I}: 2*(y[i] - x[i]) + 2*m[i]*(y[i] - 1) = 0;
         disc{i in I}: 0.25 - (y[i] - 1)^2 >= 0 complements 0 <= m[i];",
        -1.0,
    ),
    (
        "linear-corner",
        "var a >= 0; var b >= 0;
         minimize f: a + b;
         pair: 0 <= a complements b >= 0;",
        0.0,
    ),
    (
        // The branch b = 0 has the value 1, the branch a = 0 the value 2; both ends are local optima.
        "two-branches",
        "var a >= 0, := 2; var b >= 0, := 1;
         minimize f: 2*(a - 1)^2 + (b - 1)^2;
         pair: 0 <= a complements 0 <= b;",
        1.0,
    ),
    (
        // H. Jiang, D. Ralph, "QPECgen".
        "stationary-at-a-half",
        "var z{1..2} >= 0, := 1;
         minimize f: (z[1] - 1)^2 + z[2]^2;
         pair: 0 <= z[2] complements z[2] - z[1] >= 0;",
        0.5,
    ),
    (
        // A maximisation: the largest a + 2 b with one of them zero and both at most one and two.
        "either-or",
        "param top{1..2}; var v{i in 1..2} >= 0, <= top[i], := 0.5;
         maximize gain: v[1] + 2*v[2];
         pair: 0 <= v[1] complements v[2] >= 0;
         data; param: top := 1 1  2 2;",
        -4.0,
    ),
    (
        // A range that is complementary to an expression: y is the projection of x - 1 onto [0, 3].
        "projection",
        "var x >= 0, <= 10, := 1; var y;
         minimize f: (x - 6)^2 + (y - 2)^2;
         project: 0 <= y <= 3 complements y - (x - 1);",
        1.0,
    ),
    (
        // Stackelberg game of one leader and one follower with market price 100 - 0.5 (x + y).
        "stackelberg",
        "var x >= 0, <= 200; var y >= 0; var m >= 0;
         minimize f: 0.5*x^2 + 0.5*x*y - 95*x;
         follower: 2*y + 0.5*x - 100 - m = 0;
         pair: 0 <= y complements m >= 0;",
        -3_266.666_666_666_667,
    ),
    (
        "fixed-and-shared",
        "set PAIRS within 1..3 cross 1..3; set CHOSEN := 1..3 diff {2};
         var q{i in 1..3} >= 0, := i; var root{(i,j) in PAIRS} = sqrt(q[i] + q[j] + 1);
         minimize f: sum{(i,j) in PAIRS: i != j} root[i,j] + exp(-q[1]) + sum{i in CHOSEN} (q[i] - 1)^2;
         data; set PAIRS := (1,2) (2,3) (3,3); fix q[2] := 0;",
        3.163491992,
    ),
];

/// The problems written out in this crate.
pub fn written_out() -> Vec<Problem> {
    PROBLEMS
        .iter()
        .map(|&(name, model, best)| Problem {
            name: name.to_string(),
            program: AmplModel::read(model, None).map(|model| model.program).map_err(Unread::Ampl),
            known: Known::Best(best),
        })
        .collect()
}
