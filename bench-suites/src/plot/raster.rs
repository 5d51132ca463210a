//! Plots as PNG, with letters that come with the program.

use super::PlotError;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};
use std::sync::{Arc, LazyLock};

/// The one typeface: pictures are the same on machines with and without fonts.
static LETTERS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut letters = Database::new();
    letters.load_font_data(dejavu::sans::regular().to_vec());
    letters.set_sans_serif_family("DejaVu Sans");
    letters.set_serif_family("DejaVu Sans");
    Arc::new(letters)
});

/// An SVG as the bytes of a PNG, two pixels for each unit of length.
///
/// # Errors
/// The text is no SVG, or an empty one.
pub fn png(svg: &str) -> Result<Vec<u8>, PlotError> {
    let options = Options { fontdb: Arc::clone(&LETTERS), font_family: "DejaVu Sans".to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(PlotError::new)?;
    let size = tree.size();
    let side = |length: f32| (2.0 * length).ceil() as u32;
    let mut pixels = Pixmap::new(side(size.width()), side(size.height()))
        .ok_or_else(|| PlotError(format!("a picture of {} times {} has no pixels", size.width(), size.height())))?;
    resvg::render(&tree, Transform::from_scale(2.0, 2.0), &mut pixels.as_mut());
    pixels.encode_png().map_err(PlotError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture's pixels, four numbers each.
    fn pixels(svg: &str) -> (u32, Vec<u8>) {
        let file = png(svg).expect("a picture");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
        let mut data = vec![0; reader.output_buffer_size().expect("a size")];
        let frame = reader.next_frame(&mut data).expect("a frame");
        (frame.width, data)
    }

    #[test]
    fn letters_leave_ink() {
        let page = |text: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"80\" height=\"30\">\
                 <rect width=\"80\" height=\"30\" fill=\"#ffffff\"/>\
                 <text x=\"4\" y=\"20\" font-family=\"sans-serif\" font-size=\"17\">{text}</text></svg>"
            )
        };
        let dark = |text: &str| pixels(&page(text)).1.chunks(4).filter(|pixel| pixel[0] < 100).count();
        assert_eq!(dark(""), 0);
        assert!(dark("width ρ") > 200, "{}", dark("width ρ"));
        assert_eq!(pixels(&page("")).0, 160);
        assert!(png("no picture").is_err());
    }
}
