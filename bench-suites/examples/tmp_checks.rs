fn main() {
    use secateur_bench_suites::theory::{check::check, statement::Context, statements};
    let seed = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let data = std::env::args().nth(2);
    let context = Context { seed, data: data.as_deref().map(std::path::Path::new), watcher: &secateur_bench_suites::watcher::Silent };
    let all: Vec<_> = statements().into_iter().filter(|s| s.id.starts_with("graphon")).collect();
    let record = check(&all, &context).expect("checks");
    println!("{}", record.table());
    for s in &record.statements { println!("{} {:?} {:.2}", s.id, s.verdict, s.seconds); }
}
