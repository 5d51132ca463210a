//! The page of a study.

use super::config::Config;
use super::shares::{Alliance, Concept, Shares};
use super::{Certified, Record};
use crate::plot::Axes;
use crate::plot::bars::{Bars, bars};
use crate::plot::lines::{Line, Stroke, lines};
use crate::theory::StudyError;
use crate::theory::report::Report;

pub(super) fn report(record: &Record) -> Result<Report, StudyError> {
    let config = &record.config;
    let mut page = Report::new(&config.title);
    page.text(&setting(record));
    players(&mut page, record);
    if let Some(found) = &record.found {
        searched(&mut page, record, found);
    }
    if let Some(shares) = &record.shares {
        divisions(&mut page, record, shares)?;
        alliances(&mut page, record, shares);
        copies(&mut page, record, shares);
        savings(&mut page, record, shares)?;
        noise(&mut page, record, shares)?;
    }
    Ok(page)
}

/// Four digits.
fn short(value: f64) -> String {
    format!("{value:.4}")
}

fn setting(record: &Record) -> String {
    let config = &record.config;
    let training = &config.training;
    let model = match training.hidden.as_slice() {
        [] => "logistic regression".to_owned(),
        widths => format!(
            "a perceptron with hidden layers of {}",
            widths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
        ),
    };
    let how = match config.vertical {
        Some(_) => format!("{} epochs on the columns of a coalition", training.rounds),
        None => {
            let epochs = if training.epochs == 1 { "epoch" } else { "epochs" };
            format!("{} rounds of federated averaging, {} {epochs} a round", training.rounds, training.epochs)
        }
    };
    let seconds: f64 = record.measured.iter().map(|measured| measured.seconds).sum();
    format!(
        "{}, classes {}; {model}, {how}, batches of {}, steps of {}, momentum {}. A coalition is worth the macro-F1 of its model on {} \
         test samples above that of naming the most frequent class, or nothing; the mean over seeds {:?}. {} trainings took {:.0} s of one \
         core.",
        config.data,
        config.classes().join(", "),
        training.batch,
        training.rate,
        training.momentum,
        config.test,
        config.seeds,
        record.measured.len(),
        seconds,
    )
}

fn players(page: &mut Report, record: &Record) {
    let Config { vertical, clients, .. } = &record.config;
    let role = |name: &str| {
        let client = clients.iter().find(|client| client.name == name);
        let note = client.map(|client| match (&client.same_as, client.idle, client.shuffled_labels) {
            (Some(other), _, _) => format!("the samples of {other}"),
            (_, Some(_), _) => "idle: sends back what it received".to_owned(),
            (_, _, true) => "shuffled labels".to_owned(),
            _ => String::new(),
        });
        let party = vertical.iter().flat_map(|vertical| &vertical.party).find(|party| party.name == name);
        party.map(|party| party.columns.join(", ")).or(note).unwrap_or_default()
    };
    let classes = record.config.classes();
    let by_class = record.players.iter().any(|player| player.classes.is_some());
    let mut header = vec!["player", "name", if by_class { "samples" } else { "entries" }];
    if by_class {
        header.extend(classes.iter().map(String::as_str));
    }
    header.push("");
    let rows: Vec<Vec<String>> = record
        .players
        .iter()
        .enumerate()
        .map(|(number, player)| {
            let mut row = vec![number.to_string(), player.name.clone(), player.volume.to_string()];
            row.extend(player.classes.iter().flatten().map(ToString::to_string));
            row.push(role(&player.name));
            row
        })
        .collect();
    page.text("## Who holds what");
    page.table(&header, &rows);
}

fn searched(page: &mut Report, record: &Record, found: &Certified) {
    let n = record.players.len();
    let all = (1u128 << n) - 1;
    let slack = record.config.search.map_or(0.0, |search| search.slack);
    page.text(&format!(
        "## The least core, by a certified search\n\nThe excess of the least core with payoffs from 0 is between {} and {}; {} of {all} coalitions \
         were trained. The upper end holds if no coalition is worth more than {slack} above one that holds it.",
        short(found.lower),
        short(found.upper),
        found.evaluations,
    ));
    if let Some([small, large]) = &found.contradiction {
        page.text(&format!(
            "**This is not so**: {} is worth more than {} by more than that, so the upper end is about no such game. Choose a larger slack.",
            names(record, small),
            names(record, large)
        ));
    }
    let rows: Vec<Vec<String>> =
        record.players.iter().zip(&found.payoffs).map(|(p, x)| vec![p.name.clone(), short(*x)]).collect();
    page.table(&["player", "payoff"], &rows);
}

fn names(record: &Record, players: &[usize]) -> String {
    let names: Vec<&str> = players.iter().map(|player| record.players[*player].name.as_str()).collect();
    // Names may have commas.
    format!("{{{}}}", names.join(" · "))
}

fn divisions(page: &mut Report, record: &Record, shares: &Shares) -> Result<(), StudyError> {
    let all = shares.values.len() - 1;
    let grand = shares.values[all];
    let error =
        shares.errors.as_ref().map_or_else(String::new, |errors| format!(" ± {} (standard error)", short(errors[all])));
    page.text(&format!(
        "## Who should get what\n\nAll together are worth {}{error}. {} of {} arrivals make a coalition worth less, by at most {}. The excess of the \
         least core (payoffs from 0) is {}.",
        short(grand),
        shares.falls.0,
        shares.falls.1,
        short(shares.slack),
        short(shares.excess),
    ));
    let best = (1..=all).fold(all, |best, set| if shares.values[set] > shares.values[best] { set } else { best });
    if best != all {
        let players: Vec<usize> = (0..record.players.len()).filter(|player| best >> player & 1 == 1).collect();
        page.text(&format!(
            "All together are not the best: {} are worth {}. Averaging over all dilutes what few have learned.",
            names(record, &players),
            short(shares.values[best])
        ));
    }
    let mut header: Vec<&str> = vec!["concept"];
    header.extend(record.players.iter().map(|player| player.name.as_str()));
    let row = |concept: &Concept| {
        let half =
            |player: usize| concept.halves.as_ref().map_or_else(String::new, |h| format!(" ± {}", short(h[player])));
        let payoffs = concept.payoffs.iter().enumerate().map(|(player, x)| short(*x) + &half(player));
        [concept.name.clone()].into_iter().chain(payoffs).collect::<Vec<String>>()
    };
    page.table(&header, &shares.concepts.iter().map(row).collect::<Vec<_>>());
    let seeds = record.config.seeds.len();
    let order = |concept: &Concept| {
        let mut players: Vec<usize> = (0..concept.payoffs.len()).collect();
        players.sort_by(|a, b| concept.payoffs[*b].total_cmp(&concept.payoffs[*a]));
        players.into_iter().map(|player| player.to_string()).collect::<Vec<_>>().join(" ")
    };
    let rows: Vec<Vec<String>> = shares
        .concepts
        .iter()
        .map(|concept| {
            vec![
                concept.name.clone(),
                short(concept.excess),
                names(record, &concept.worst),
                concept.violated.to_string(),
                (concept.evaluations * seeds).to_string(),
                short(concept.distance),
                order(concept),
            ]
        })
        .collect();
    page.text(
        "Shifted: what is left of $v(N)$, or is missing, is shared equally. The same by what coalitions would gain by leaving:",
    );
    page.table(
        &[
            "concept",
            "worst excess",
            "of",
            "coalitions that gain",
            "trainings",
            "distance from the least core",
            "order",
        ],
        &rows,
    );
    let groups: Vec<String> = record.players.iter().map(|player| player.name.clone()).collect();
    let shown = ["least core", "nucleolus", "prenucleolus", "Shapley", "leave-one-out, shifted", "volume of data"];
    let series: Vec<Bars> = shares
        .concepts
        .iter()
        .filter(|concept| shown.contains(&concept.name.as_str()))
        .map(|concept| Bars {
            label: concept.name.clone(),
            heights: concept.payoffs.iter().map(|x| Some((*x, 0.0))).collect(),
        })
        .collect();
    page.figure("payoffs", bars("Payoffs", "payoff", &groups, &series)?, "What each concept gives to whom.");
    Ok(())
}

fn alliances(page: &mut Report, record: &Record, shares: &Shares) {
    let all = shares.values.len() - 1;
    page.text(
        "## Pivotal players and alliances\n\nA player is pivotal by what all lose without it. An alliance is a coalition whose excess is that of the \
         least core: what it gets could not be less.",
    );
    let rows: Vec<Vec<String>> = record
        .players
        .iter()
        .enumerate()
        .map(|(number, player)| {
            let without = shares.values[all & !(1 << number)];
            let alone = shares.values[1 << number];
            vec![player.name.clone(), short(shares.values[all] - without), short(alone)]
        })
        .collect();
    page.table(&["player", "all lose without it", "alone it has"], &rows);
    let row =
        |alliance: &Alliance| vec![names(record, &alliance.players), short(alliance.value), short(alliance.weight)];
    page.table(&["alliance", "is worth", "weight in the proof"], &shares.tight.iter().map(row).collect::<Vec<_>>());
    page.text(
        "With the weights the excess follows: $e = \\sum_S \\lambda_S v(S) - \\mu v(N)$, so these coalitions are why it is not less.",
    );
}

/// Clients that hold the same samples, by concepts that look at what leaves and at what arrives.
fn copies(page: &mut Report, record: &Record, shares: &Shares) {
    let place = |name: &str| record.players.iter().position(|player| player.name == name);
    let pairs = record.config.clients.iter().filter(|client| !client.shuffled_labels).filter_map(|client| {
        let other = client.same_as.as_ref()?;
        Some((place(other)?, place(&client.name)?))
    });
    let all = shares.values.len() - 1;
    let lost = |set: usize| short(shares.values[all] - shares.values[all & !set]);
    let concept = |name: &str| shares.concepts.iter().find(|concept| concept.name == name);
    let (Some(core), Some(shapley)) = (concept("least core"), concept("Shapley")) else { return };
    let both = |payoffs: &[f64], a: usize, b: usize| format!("{} and {}", short(payoffs[a]), short(payoffs[b]));
    let rows: Vec<Vec<String>> = pairs
        .map(|(a, b)| {
            vec![
                names(record, &[a, b]),
                both(&core.payoffs, a, b),
                both(&shapley.payoffs, a, b),
                format!("{} and {}", lost(1 << a), lost(1 << b)),
                lost(1 << a | 1 << b),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    page.text(
        "## Copies\n\nWhile one of two copies stays, all lose little without the other. The least core gives a player at most what all lose without it, \
         and the excess, $x_i \\le v(N) - v(N \\setminus i) + e$; Shapley's value pays for arrivals before the copy too. Where the excess is large the bound \
         says little.",
    );
    page.table(&["copies", "least core", "Shapley", "all lose without one", "without both"], &rows);
}

fn savings(page: &mut Report, record: &Record, shares: &Shares) -> Result<(), StudyError> {
    let all = shares.values.len() - 1;
    let seeds = record.config.seeds.len();
    page.text(&format!(
        "## What searches would have trained\n\nAll {all} coalitions need {} trainings. Certified searches enclose the excess of the least core: of the \
         monotone closure $\\bar v(S) = \\max_{{T \\subseteq S}} v(T)$, or of the game itself, given by how much a coalition may be worth more than one that \
         holds it.",
        all * seeds
    ));
    let mut rows = Vec::new();
    for found in &shares.searches {
        rows.push(vec![
            if found.closure { "closure" } else { "game with its slack" }.to_owned(),
            found.eta.to_string(),
            format!("{} of {all}", found.evaluations),
            ((all - found.evaluations) * seeds).to_string(),
            format!("[{}, {}]", short(found.ends[0]), short(found.ends[1])),
            short(found.excess),
        ]);
    }
    page.table(&["of", "η / v(N)", "coalitions", "trainings saved", "interval", "exact"], &rows);
    let stack = &shares.stack;
    page.text(&format!(
        "The paper's stack with its thresholds trains {} of {all} coalitions and reports {}; the worst excess of its division is {}.",
        stack.evaluations,
        short(stack.reported),
        short(stack.worst)
    ));
    let mut rows = Vec::new();
    for drawn in &shares.drawn {
        rows.push(vec![
            format!("{} %", 100.0 * drawn.share),
            drawn.coalitions.to_string(),
            short(drawn.reported),
            short(drawn.worst),
            format!("{} of {}", drawn.below, drawn.draws),
        ]);
    }
    page.text("Coalitions drawn at random report less than there is to gain (means over draws):");
    page.table(&["drawn", "coalitions", "reported excess", "worst excess", "reported below the least core's"], &rows);
    let axes = Axes { x: "coalitions trained", y: "excess", log_x: false, log_y: false };
    let line = |label: &str, points: Vec<(f64, f64)>, stroke| Line::new(label, points, stroke);
    let of = |closure: bool, end: usize| -> Vec<(f64, f64)> {
        let mine = shares.searches.iter().filter(|found| found.closure == closure);
        mine.map(|found| (found.evaluations as f64, found.ends[end])).collect()
    };
    let draws = |value: fn(&super::Drawn) -> f64| -> Vec<(f64, f64)> {
        shares.drawn.iter().map(|drawn| (drawn.coalitions as f64, value(drawn))).collect()
    };
    let level = |excess: f64| vec![(0.0, excess), (all as f64, excess)];
    let closure = shares.searches.iter().find(|found| found.closure).map_or(shares.excess, |found| found.excess);
    let curves = [
        line("certified, upper end", of(true, 1), Stroke::default()),
        line("certified, lower end", of(true, 0), Stroke::default()),
        line("drawn: worst", draws(|drawn| drawn.worst), Stroke::default()),
        line("drawn: reported", draws(|drawn| drawn.reported), Stroke::default()),
        line("least core of the game", level(shares.excess), Stroke::Dashed),
        line("least core of its closure", level(closure), Stroke::Dashed),
    ];
    let caption =
        "Certified intervals of the closure, and what is reported of coalitions drawn at random beside what it hides.";
    page.figure("searches", lines("Excess against trainings", &axes, &curves)?, caption);
    Ok(())
}

fn noise(page: &mut Report, record: &Record, shares: &Shares) -> Result<(), StudyError> {
    let Some(noise) = &shares.noise else { return Ok(()) };
    let by_seed: Vec<String> = noise.by_seed.iter().map(|excess| short(*excess)).collect();
    page.text(&format!(
        "## Stability under noise\n\nStandard errors of values are at most {}. Over {} games with normal noise of these errors the excess of the least \
         core is {} with deviation {}; in the games of single seeds it is {}. Payoffs, mean and deviation:",
        short(noise.largest),
        noise.games,
        short(noise.excess[0]),
        short(noise.excess[1]),
        by_seed.join(", "),
    ));
    let mut header: Vec<&str> = vec!["concept"];
    header.extend(record.players.iter().map(|player| player.name.as_str()));
    let rows: Vec<Vec<String>> = noise
        .concepts
        .iter()
        .map(|spread| {
            let cells = spread.means.iter().zip(&spread.deviations).map(|(m, d)| format!("{m:.4} ({d:.4})"));
            [spread.name.clone()].into_iter().chain(cells).collect()
        })
        .collect();
    page.table(&header, &rows);
    let groups: Vec<String> = record.players.iter().map(|player| player.name.clone()).collect();
    let series: Vec<Bars> = noise
        .concepts
        .iter()
        .map(|spread| Bars {
            label: spread.name.clone(),
            heights: spread.means.iter().zip(&spread.deviations).map(|(m, d)| Some((*m, *d))).collect(),
        })
        .collect();
    let caption = "Means over games with noise, and deviations.";
    page.figure("noise", bars("Payoffs under noise", "payoff", &groups, &series)?, caption);
    Ok(())
}
