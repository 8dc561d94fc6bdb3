//! A plot with both axes logarithmic, as SVG: what does not depend on the number of streams is a flat line.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
/// Room at the left, right (names of the lines), top and bottom.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 45.0;
/// Told apart by the colour-blind too (Okabe and Ito).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
/// Below this a value is drawn at the bottom: a logarithm of nothing can't be.
const MIN_VALUE: f64 = 0.01;

pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Axes on which values lie.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn around(lines: &[Line]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let most = |of: &dyn Fn(&(f64, f64)) -> f64| points().map(of).fold(MIN_VALUE, f64::max);
        let least =
            |of: &dyn Fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min).max(MIN_VALUE);
        let decade = |value: f64, round: fn(f64) -> f64| 10f64.powf(round(value.log10()));
        let x = |point: &(f64, f64)| point.0;
        let y = |point: &(f64, f64)| point.1;
        Self { x: (least(&x), most(&x)), y: (decade(least(&y), f64::floor), decade(most(&y), f64::ceil)) }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + share(value, self.x) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - share(value.max(MIN_VALUE), self.y) * (HEIGHT - TOP - BOTTOM)
    }
}

fn share(value: f64, (from, to): (f64, f64)) -> f64 {
    if to > from { (value / from).ln() / (to / from).ln() } else { 0.5 }
}

pub(super) fn draw(lines: &[Line]) -> String {
    let axes = Axes::around(lines);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">For one stream, by the number of streams</text>\n"
    );
    grid(&mut svg, &axes, lines);
    let mut names: Vec<(f64, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<_> =
            line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", axes.x(*x), axes.y(*y))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for point in points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
        }
        names.extend(line.points.last().map(|(_, last)| (axes.y(*last), index)));
    }
    legend(&mut svg, names, lines);
    svg.push_str("</svg>\n");
    svg
}

/// Decades, and the numbers that were measured.
fn grid(svg: &mut String, axes: &Axes, lines: &[Line]) {
    let mut value = axes.y.0;
    while value <= axes.y.1 * 1.001 {
        let y = axes.y(value);
        let right = WIDTH - RIGHT;
        let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>");
        let label = LEFT - 8.0;
        let _ = writeln!(svg, "<text x=\"{label}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>", y + 4.0);
        value = 10f64.powf((value.log10() + 1.0).round());
    }
    for (x, _) in lines.first().map(|line| line.points.as_slice()).unwrap_or_default() {
        let y = HEIGHT - BOTTOM + 18.0;
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{y}\" text-anchor=\"middle\">{x}</text>", axes.x(*x));
    }
}

/// Each name beside the end of its line, none on another one.
fn legend(svg: &mut String, mut names: Vec<(f64, usize)>, lines: &[Line]) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let x = WIDTH - RIGHT + 12.0;
    let mut free = 0.0_f64;
    for (y, index) in names {
        let y = y.max(free);
        free = y + 16.0;
        let colour = COLOURS[index % COLOURS.len()];
        let name = &lines[index].name;
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", y + 4.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_constant_is_flat() {
        let line = |name: &str, values: [f64; 2]| Line {
            name: name.into(),
            points: [1.0, 64.0].into_iter().zip(values).collect(),
        };
        let svg = draw(&[line("flat", [3.0, 3.0]), line("grows", [1.0, 20.0])]);
        let polyline = svg.lines().find(|line| line.contains("<polyline")).unwrap();
        let points = polyline.split('"').nth(1).unwrap();
        let ys: Vec<_> = points.split(' ').map(|point| point.split_once(',').unwrap().1).collect();
        assert_eq!(ys[0], ys[1]);
        assert!(svg.contains(">flat<") && svg.contains(">grows<") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_has_a_place_too() {
        let svg = draw(&[Line { name: "none".into(), points: vec![(1.0, 0.0), (4.0, 0.0)] }]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
