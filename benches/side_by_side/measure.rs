//! Figures of one peer, and the table.

use std::time::Instant;

/// What one peer did, in operations a second. What it cannot do is missing.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) first_tenth: Option<f64>,
    pub(crate) last_tenth: Option<f64>,
    pub(crate) buffered: Option<f64>,
    pub(crate) durable_one: Option<f64>,
    pub(crate) durable_many: Option<f64>,
    pub(crate) gets: Option<f64>,
    pub(crate) files: Option<f64>,
    pub(crate) notes: Vec<String>,
}

/// Where a figure is kept.
type Place = fn(&mut Figures) -> &mut Option<f64>;

const FIGURES: [(&str, Place); 7] = [
    ("first_tenth", |f| &mut f.first_tenth),
    ("last_tenth", |f| &mut f.last_tenth),
    ("buffered", |f| &mut f.buffered),
    ("durable_one", |f| &mut f.durable_one),
    ("durable_many", |f| &mut f.durable_many),
    ("gets", |f| &mut f.gets),
    ("files", |f| &mut f.files),
];

impl Figures {
    /// The figures as lines that [`Figures::read`] understands, each behind the name of the peer.
    pub(crate) fn print(&mut self, peer: &str) {
        for (name, figure) in FIGURES {
            if let Some(rate) = figure(self) {
                println!("{peer}\t{name}\t{rate}");
            }
        }
        for note in &self.notes {
            println!("{peer}\tnote\t{note}");
        }
    }

    /// The figures of one peer from such lines.
    pub(crate) fn read(lines: &str, peer: &str) -> Self {
        let mut figures = Self::default();
        for line in lines.lines() {
            let mut parts = line.splitn(3, '\t');
            let (Some(of), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next()) else { continue };
            if of != peer {
                continue;
            }
            match FIGURES.iter().find(|(known, _)| *known == name) {
                Some((_, figure)) => *figure(&mut figures) = value.parse().ok(),
                None => figures.notes.push(value.to_owned()),
            }
        }
        figures
    }
}

/// A row of the table: a name and a figure.
pub(crate) struct Row {
    name: &'static str,
    figure: fn(&Figures) -> Option<f64>,
}

impl Row {
    pub(crate) fn rate(name: &'static str, figure: fn(&Figures) -> Option<f64>) -> Self {
        Self { name, figure }
    }
}

/// Prints operations a second for each peer and, in brackets, the first one's as a multiple of it.
pub(crate) fn print_table(rows: &[Row], columns: &[(&str, &Figures)]) {
    print!("{:32}", "operations a second");
    for (name, _) in columns {
        print!("{name:>22}");
    }
    println!();
    for row in rows {
        print!("{:32}", row.name);
        let ours = columns.first().and_then(|(_, figures)| (row.figure)(figures));
        for (n, (_, figures)) in columns.iter().enumerate() {
            let cell = match ((row.figure)(figures), ours) {
                (Some(rate), Some(ours)) if n > 0 => format!("{rate:.0} (x{:.2})", ours / rate),
                (Some(rate), _) => format!("{rate:.0}"),
                (None, _) => "-".to_owned(),
            };
            print!("{cell:>22}");
        }
        println!();
    }
}

/// Times single operations.
pub(crate) struct Timer {
    begun: Instant,
    marks: Vec<Instant>,
    micros: Vec<u32>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), marks: Vec::new(), micros: Vec::new() }
    }

    /// Times one operation.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = Instant::now();
        let result = work();
        self.micros.push(u32::try_from(before.elapsed().as_micros()).unwrap_or(u32::MAX));
        result
    }

    /// Marks the end of a tenth.
    pub(crate) fn mark(&mut self) {
        self.marks.push(Instant::now());
    }

    /// Fills in the rates of the whole and of its first and last tenth.
    pub(crate) fn finish(mut self, figures: &mut Figures) {
        let count = self.micros.len() as f64;
        let begun = self.begun;
        figures.buffered = Some(count / begun.elapsed().as_secs_f64());
        if let [first, .., before_last, last] = self.marks.as_slice() {
            figures.first_tenth = Some(count / 10.0 / first.duration_since(begun).as_secs_f64());
            figures.last_tenth = Some(count / 10.0 / last.duration_since(*before_last).as_secs_f64());
        }
        self.micros.sort_unstable();
        let at = |share: f64| self.micros[((count * share) as usize).min(self.micros.len() - 1)];
        figures.notes.push(format!(
            "buffered write latency: p50 {} us, p99 {} us, p99.9 {} us, longest {} us",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        ));
    }
}

/// Operations a second of `count` calls.
pub(crate) fn rate<E>(count: u64, mut work: impl FnMut(u64) -> Result<(), E>) -> Result<f64, E> {
    let begun = Instant::now();
    for n in 0..count {
        work(n)?;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Operations a second of `count` calls, shared by 16 threads.
pub(crate) fn rate_of_many<E: Send>(count: u64, work: impl Fn(u64) -> Result<(), E> + Sync) -> Result<f64, E> {
    const THREADS: u64 = 16;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || (0..count / THREADS).try_for_each(|n| work(thread * count + n))))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a bench thread does not panic"))
    })?;
    Ok((count / THREADS * THREADS) as f64 / begun.elapsed().as_secs_f64())
}

/// Bytes that this process has caused to be written to disk.
pub(crate) fn bytes_written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Resident memory in MiB: now, or the most there ever was (`VmRSS`, `VmHWM`).
pub(crate) fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim_matches([':', ' ', '\t']).split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// A fixed walk over `0..count` that looks like chance.
pub(crate) struct Walk(u64);

impl Walk {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }
}
