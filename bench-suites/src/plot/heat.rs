//! Matrices as pictures, side by side on one scale of colours.

use super::PlotError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// The longest side of a picture in cells; larger matrices are averaged over blocks.
const CELLS: usize = 256;
/// The side of a picture on the page.
const SIDE: f64 = 300.0;

/// A matrix with a title.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    title: String,
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Heat {
    /// A matrix of `rows` times `columns` values, row by row. Where a side is longer than 256, values are means over blocks.
    ///
    /// # Errors
    /// The number of values is not that of a matrix with entries, or one is not finite.
    pub fn new(title: impl Into<String>, rows: usize, columns: usize, values: &[f64]) -> Result<Self, PlotError> {
        if values.is_empty() || values.len() != rows * columns {
            return Err(PlotError(format!("{} values are no matrix of {rows} times {columns}", values.len())));
        }
        if !values.iter().all(|v| v.is_finite()) {
            return Err(PlotError("a value of a matrix is not finite".to_owned()));
        }
        let (high, wide) = (rows.min(CELLS), columns.min(CELLS));
        let mut sums = vec![(0.0, 0usize); high * wide];
        for (index, value) in values.iter().enumerate() {
            let (row, column) = (index / columns * high / rows, index % columns * wide / columns);
            let (sum, count) = &mut sums[row * wide + column];
            *sum += value;
            *count += 1;
        }
        let values = sums.into_iter().map(|(sum, count)| sum / count as f64).collect();
        Ok(Self { title: title.into(), rows: high, columns: wide, values })
    }
}

/// What lies between which colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colours {
    /// The value of the first colour, and all below.
    pub low: f64,
    /// The value of the last colour, and all above.
    pub high: f64,
}

/// Knots of the scale, from light to dark: even steps of lightness, so that it reads in grey too.
const KNOTS: [[f64; 3]; 5] =
    [[255.0, 255.0, 246.0], [199.0, 225.0, 205.0], [104.0, 171.0, 190.0], [44.0, 96.0, 152.0], [16.0, 24.0, 72.0]];

fn colour(value: f64, colours: Colours) -> [u8; 3] {
    let share = ((value - colours.low) / (colours.high - colours.low)).clamp(0.0, 1.0) * (KNOTS.len() - 1) as f64;
    let knot = (share as usize).min(KNOTS.len() - 2);
    let part = share - knot as f64;
    std::array::from_fn(|i| ((1.0 - part) * KNOTS[knot][i] + part * KNOTS[knot + 1][i]).round() as u8)
}

/// A picture as the text of a PNG inside of an SVG.
fn picture(columns: usize, rows: usize, pixels: &[u8]) -> Result<String, PlotError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(PlotError::new)?;
    writer.write_image_data(pixels).map_err(PlotError::new)?;
    writer.finish().map_err(PlotError::new)?;
    Ok(STANDARD.encode(&file))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws matrices side by side, with the scale of colours at the right. Rows go down, columns to the right.
///
/// # Errors
/// There is no matrix, or the scale is empty.
pub fn heat_maps(title: &str, colours: Colours, maps: &[Heat]) -> Result<String, PlotError> {
    if maps.is_empty() {
        return Err(PlotError("there is no matrix to draw".to_owned()));
    }
    if !(colours.high - colours.low > 0.0 && (colours.high - colours.low).is_finite()) {
        return Err(PlotError(format!("the scale from {} to {} is empty", colours.low, colours.high)));
    }
    let (top, gap, margin) = (64.0, 24.0, 16.0);
    let width = margin + maps.len() as f64 * (SIDE + gap) + 90.0;
    let height = top + SIDE + margin;
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{:.0}\" y=\"26\" text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"17\">{}</text>\n",
        0.5 * width,
        escape(title)
    );
    let place = |svg: &mut String, x: f64, wide: f64, image: &str| {
        let _ = writeln!(
            svg,
            "<image x=\"{x:.0}\" y=\"{top:.0}\" width=\"{wide:.0}\" height=\"{SIDE:.0}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{image}\"/>\n\
             <rect x=\"{x:.0}\" y=\"{top:.0}\" width=\"{wide:.0}\" height=\"{SIDE:.0}\" fill=\"none\" stroke=\"#555555\"/>"
        );
    };
    for (index, map) in maps.iter().enumerate() {
        let x = margin + index as f64 * (SIDE + gap);
        let pixels: Vec<u8> = map.values.iter().flat_map(|value| colour(*value, colours)).collect();
        place(&mut svg, x, SIDE, &picture(map.columns, map.rows, &pixels)?);
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"14\">{}</text>",
            x + 0.5 * SIDE,
            top - 8.0,
            escape(&map.title)
        );
    }
    let x = margin + maps.len() as f64 * (SIDE + gap);
    let steps = 100;
    let at = |step: usize| colours.high + (colours.low - colours.high) * step as f64 / (steps - 1) as f64;
    let pixels: Vec<u8> = (0..steps).flat_map(|step| colour(at(step), colours)).collect();
    place(&mut svg, x, 18.0, &picture(1, steps, &pixels)?);
    for part in 0..=4 {
        let value = colours.high + (colours.low - colours.high) * f64::from(part) / 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" font-family=\"sans-serif\" font-size=\"12\">{}</text>",
            x + 24.0,
            top + SIDE * f64::from(part) / 4.0 + 4.0,
            super::lines::number(value)
        );
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_matrices_are_averaged() {
        let board: Vec<f64> = (0..512 * 512).map(|i| f64::from((i / 512 + i % 512) % 2)).collect();
        let heat = Heat::new("board", 512, 512, &board).expect("a matrix");
        assert_eq!((heat.rows, heat.columns), (256, 256));
        assert!(heat.values.iter().all(|v| (*v - 0.5).abs() < 1e-12));
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        assert!(Heat::new("short", 2, 2, &[1.0; 3]).is_err());
        assert!(Heat::new("nan", 1, 1, &[f64::NAN]).is_err());
        let one = Heat::new("one", 1, 1, &[0.3]).expect("a matrix");
        assert!(heat_maps("flat", Colours { low: 1.0, high: 1.0 }, &[one]).is_err());
        assert!(heat_maps("none", Colours { low: 0.0, high: 1.0 }, &[]).is_err());
    }
}
