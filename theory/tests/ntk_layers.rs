//! Kernels of sparse layers against finite networks that are drawn, and against identities.

use secateur_linalg::random::Random;
use secateur_theory::TheoryError;
use secateur_theory::ntk::{Architecture, Gradient, Plan, Settings, empirical, finite};

fn plan(text: &str) -> Plan {
    let architecture: Architecture = toml::from_str(text).expect("an architecture");
    Plan::new(&architecture).expect("a plan")
}

fn inputs(count: usize, size: usize) -> Vec<Vec<f64>> {
    let mut random = Random::new(31);
    // Numbers of single precision, so that both sides see the same.
    let mut number = || f64::from(random.normal() as f32);
    (0..count).map(|_| (0..size).map(|_| number()).collect()).collect()
}

fn close(a: &[f64], b: &[f64], relative: f64) {
    assert_eq!(a.len(), b.len());
    let size = a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= relative * size, "{x} {y}");
    }
}

/// What is compared, the architecture, the width and the number of drawn networks. Layers whose mask is random have many
/// inputs: the limit is one of many inputs as well as one of many neurons.
const CASES: [(&str, &str, usize, usize); 9] = [
    (
        "dense layers with iid masks",
        "input = [256]
         layers = [{ dense = { density = 0.4 } }, 'relu', { dense = { std = 1.4, bias = 0.3, density = 0.6 } }, 'relu',
                   { dense = { std = 1.4, density = 0.5 } }]",
        192,
        60,
    ),
    (
        "rescaled, and with derivatives of removed weights",
        "input = [256]
         gradient = 'all'
         layers = [{ dense = { density = 0.4, rescaled = true } }, 'relu', { dense = { std = 1.4, density = 0.5, rescaled = true } }]",
        256,
        60,
    ),
    (
        "weights that are kept because they are large",
        "input = [256]
         layers = [{ dense = { density = 0.3, values = 'kept' } }, 'relu',
                   { dense = { std = 1.4, density = 0.2, values = 'kept' } }, 'relu', { dense = { std = 1.4 } }]",
        192,
        60,
    ),
    (
        "a graphon behind a graphon",
        "input = [258]
         layers = [{ dense = { density = [[0.9, 0.1], [0.5, 0.5], [0.2, 1.0]] } }, 'relu',
                   { dense = { std = 1.4, density = [[0.1, 0.9, 0.5], [0.8, 0.3, 0.4]] } }, 'relu',
                   { dense = { std = 1.4, density = [0.2, 0.9, 0.5] } }]",
        192,
        60,
    ),
    (
        "a pattern on the inputs",
        "input = [6]
         layers = [{ dense = { density = [1, 0, 0.5, 1, 0, 1] } }, 'relu', { dense = {} }]",
        256,
        60,
    ),
    (
        "convolutions with taps of different density, and a dense layer with pixels of different density",
        "input = [2, 4, 4]
         layers = [{ conv = { kernel = 3, pad = 1, weights = { std = 1.4, density = [0, 1, 0, 1, 1, 1, 0, 1, 1] } } }, 'relu',
                   { conv = { kernel = 2, stride = 2, weights = { std = 1.4, bias = 0.2, density = [0.5, 0.1, 0.9, 1] } } }, 'relu',
                   'flatten', { dense = { std = 1.4, density = [0.1, 0.9, 0.5, 0.6] } }]",
        48,
        60,
    ),
    (
        "circular convolutions, a residual branch and a pool over everything",
        "input = [2, 4, 4]
         layers = [{ conv = { kernel = 3, pad = 1, padding = 'circular', weights = { std = 1.4 } } },
                   { residual = ['relu', { conv = { kernel = 3, pad = 1, padding = 'circular', weights = { density = 0.6 } } }] },
                   'relu', 'global-average-pool', { dense = { std = 1.4, density = 0.5 } }]",
        48,
        60,
    ),
    (
        "means over windows between convolutions",
        "input = [1, 6, 6]
         layers = [{ conv = { kernel = 3, weights = { std = 1.4 } } }, 'relu',
                   { average-pool = { kernel = 2 } },
                   { conv = { kernel = 2, weights = { std = 1.4, density = 0.5, rescaled = true } } }, 'relu', 'flatten', { dense = {} }]",
        48,
        60,
    ),
    (
        "groups of channels",
        "input = [1, 4, 4]
         layers = [{ conv = { kernel = 2, weights = { density = [[1, 0], [0, 1], [1, 1], [0, 1]] } } }, 'relu',
                   { average-pool = { kernel = 2, stride = 1 } }, 'flatten', { dense = { std = 1.4, density = [0.2, 0.8] } }]",
        64,
        60,
    ),
];

#[test]
fn finite_networks_average_to_the_limit() {
    for (what, text, width, draws) in CASES {
        let architecture: Architecture = toml::from_str(text).expect(what);
        let plan = Plan::new(&architecture).expect(what);
        let x = inputs(3, architecture.input.iter().product());
        let limit = plan.gram(&x).expect(what).ntk;
        let single: Vec<Vec<f32>> = x.iter().map(|x| x.iter().map(|v| *v as f32).collect()).collect();
        let kernels: Vec<Vec<f64>> = (0..draws as u64)
            .map(|seed| {
                let (graph, masks) = finite(&plan, width, 4, seed).expect(what);
                let masks = (architecture.gradient == Gradient::Kept).then_some(&masks);
                empirical::<f64>(&graph, masks, &single, &Settings::default()).expect(what).kernel
            })
            .collect();
        let size = limit.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let n = draws as f64;
        for (place, expected) in limit.iter().enumerate() {
            let values = || kernels.iter().map(|kernel| kernel[place]);
            let mean = values().sum::<f64>() / n;
            let error = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
            // Four and a half standard errors (about 80 numbers are compared), and the bias of finite width, which is of the order
            // of 1/width for more than one hidden layer and the larger, the fewer weights are kept.
            let allowed = 4.5 * error + 2.0 * size / width as f64;
            assert!((mean - expected).abs() < allowed, "{what}: {mean} {expected} ± {error}");
            // A comparison that could not tell a factor of density from its square would say nothing.
            assert!(allowed < 0.15 * size, "{what}: {error} of {size}");
        }
    }
}

#[test]
fn sparse_layers_are_dense_ones_with_scaled_covariances() {
    let x = inputs(4, 6);
    let text = |density: &str, std: f64| {
        format!(
            "input = [6]
             layers = [{{ dense = {{ std = {std}, {density} }} }}, 'relu', {{ dense = {{ std = {std}, {density} }} }}, 'relu',
                       {{ dense = {{ std = {std}, {density} }} }}]"
        )
    };
    let of = |density: &str, std: f64| plan(&text(density, std)).gram(&x).expect("kernels");
    let dense = of("", 1.4);
    let rescaled = of("density = 0.3, rescaled = true", 1.4);
    // Reordered products.
    close(&dense.ntk, &rescaled.ntk, 1e-14);
    close(&dense.nngp, &rescaled.nngp, 1e-14);
    let sparse = of("density = 0.3", 1.4);
    let smaller = of("", 1.4 * 0.3_f64.sqrt());
    close(&sparse.ntk, &smaller.ntk, 1e-14);
    close(&sparse.nngp, &smaller.nngp, 1e-14);
    let repeated = of("density = [0.3, 0.3, 0.3]", 1.4);
    close(&sparse.ntk, &repeated.ntk, 1e-14);
}

#[test]
fn a_convolution_that_covers_the_image_is_a_dense_layer() {
    let x = inputs(3, 18);
    let conv = plan(
        "input = [2, 3, 3]
         layers = [{ conv = { kernel = 3, weights = { std = 1.4, bias = 0.1, density = [1, 0, 1, 0.5, 0.5, 0.2, 0, 1, 0.1] } } }, 'relu',
                   { dense = {} }]",
    );
    let dense = plan(
        "input = [2, 3, 3]
         layers = ['flatten', { dense = { std = 1.4, bias = 0.1, density = [1, 0, 1, 0.5, 0.5, 0.2, 0, 1, 0.1,
                                                                            1, 0, 1, 0.5, 0.5, 0.2, 0, 1, 0.1] } }, 'relu',
                   { dense = {} }]",
    );
    let (a, b) = (conv.gram(&x).expect("kernels"), dense.gram(&x).expect("kernels"));
    close(&a.ntk, &b.ntk, 1e-14);
    close(&a.nngp, &b.nngp, 1e-14);
}

#[test]
fn flattening_is_pooling_over_equal_positions_only() {
    // A network that flattens needs no covariances between positions; with a pool of single entries it computes them all.
    let x = inputs(3, 32);
    let layers = "{ conv = { kernel = 3, pad = 1, weights = { std = 1.4, density = 0.4 } } }, 'relu'";
    let end = "{ conv = { kernel = 3, pad = 1, weights = { std = 1.4 } } }, 'relu', 'flatten', { dense = {} }";
    let short = plan(&format!("input = [2, 4, 4]\nlayers = [{layers}, {end}]"));
    let long = plan(&format!("input = [2, 4, 4]\nlayers = [{layers}, {{ average-pool = {{ kernel = 1 }} }}, {end}]"));
    let (a, b) = (short.gram(&x).expect("kernels"), long.gram(&x).expect("kernels"));
    close(&a.ntk, &b.ntk, 1e-14);
}

#[test]
fn circular_convolutions_do_not_see_shifts() {
    let x = inputs(1, 16).remove(0);
    let shifted: Vec<f64> = (0..16).map(|i| x[(i / 4 + 1) % 4 * 4 + (i % 4 + 2) % 4]).collect();
    let network = |padding: &str| {
        let text = format!(
            "input = [1, 4, 4]
             layers = [{{ conv = {{ kernel = 3, pad = 1, padding = '{padding}', weights = {{ std = 1.4, density = 0.5 }} }} }}, 'relu',
                       'global-average-pool', {{ dense = {{}} }}]"
        );
        let kernel = plan(&text).gram(&[x.clone(), shifted.clone()]).expect("kernels").ntk;
        (kernel[0], kernel[1])
    };
    let (same, other) = network("circular");
    // The same sums in another order.
    assert!((same - other).abs() < 1e-13 * same, "{same} {other}");
    let (same, other) = network("zero");
    assert!((same - other).abs() > 1e-3 * same, "the border shows: {same} {other}");
}

#[test]
fn layers_that_do_not_fit_say_why() {
    let cases = [
        ("input = [4]\nlayers = ['relu', { dense = {} }]", "1 (relu)", "normal"),
        ("input = [4]\nlayers = [{ dense = {} }, 'relu', 'relu', { dense = {} }]", "3 (relu)", "normal"),
        ("input = [1, 2, 2]\nlayers = [{ dense = {} }]", "1 (dense)", "flatten"),
        ("input = [1, 2, 2]\nlayers = [{ conv = { kernel = 3 } }]", "1 (conv)", "larger than the image"),
        ("input = [1, 2, 2]\nlayers = [{ conv = { kernel = 0 } }]", "1 (conv)", "at least 1"),
        ("input = [1, 2, 2]\nlayers = [{ conv = { kernel = 1 } }]", "the last", "ends with an image"),
        ("input = [4]\nlayers = [{ residual = ['flatten'] }]", "1 (residual)", "has to end"),
        (
            "input = [4]\nlayers = [{ dense = {} }, { residual = [{ dense = {} }, 'relu'] }]",
            "2 (residual)",
            "has to end",
        ),
        ("input = [4]\nlayers = [{ residual = [{ dense = {} }] }]", "1 (residual)", "another shape"),
        ("input = [4]\nlayers = []", "all", "expected a dense"),
        ("input = [0]\nlayers = [{ dense = {} }]", "input", "none of them 0"),
        ("input = [4]\nlayers = [{ dense = { density = [0.1, 0.2, 0.3] } }]", "1 (dense)", "3 rows"),
        ("input = [4]\nlayers = [{ dense = { density = 1.5 } }]", "1 (dense)", "share from 0 to 1"),
        ("input = [4]\nlayers = [{ dense = { std = -1 } }]", "1 (dense)", "at least 0"),
        ("input = [4]\nlayers = [{ dense = { density = 0, rescaled = true } }]", "1 (dense)", "rescale"),
        (
            "input = [1, 4, 4]\nlayers = [{ conv = { kernel = 1 } }, { residual = ['global-average-pool', { dense = {} }] }]",
            "2.1",
            "no pools",
        ),
    ];
    for (text, place, reason) in cases {
        let architecture: Architecture = toml::from_str(text).expect(text);
        let message = Plan::new(&architecture).expect_err(text).to_string();
        assert!(message.contains(place) && message.contains(reason), "{text}: {message}");
    }
    for (text, named) in [
        ("input = [4]\nlayers = ['gelu']", "gelu"),
        ("input = [4]\nlayers = [{ dense = { width = 3 } }]", "width"),
        ("input = [4]\nlayers = []\ndepth = 3", "depth"),
        ("input = [4]\nlayers = [{ dense = { density = 'x' } }]", "expected a share"),
    ] {
        let message = toml::from_str::<Architecture>(text).expect_err(text).to_string();
        assert!(message.contains(named), "{text}: {message}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let network = plan("input = [4]\nlayers = [{ dense = {} }]");
    assert!(matches!(network.gram(&[vec![1.0; 3]]), Err(TheoryError::Shape { .. })));
    assert!(matches!(network.gram(&[vec![f64::NAN; 4]]), Err(TheoryError::Range { .. })));
    let erf = plan("input = [4]\nlayers = [{ dense = {} }, 'erf', { dense = {} }]");
    assert!(matches!(finite(&erf, 8, 1, 0), Err(TheoryError::Layer { .. })));
    let groups = plan("input = [4]\nlayers = [{ dense = { density = [[0.5, 0.5, 0.5]] } }, 'relu', { dense = {} }]");
    assert!(matches!(finite(&groups, 2, 1, 0), Err(TheoryError::Shape { .. })));
}
