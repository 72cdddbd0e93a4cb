//! Means over masks.

use super::manifest::ImageItem;
use super::protocol::Scores;
use sam2::image::Mask;
use serde::Serialize;
use std::collections::BTreeMap;

/// One mask's scores, and where it is from.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    image: String,
    mask: String,
    source: String,
    /// Share of the picture.
    area: f64,
    #[serde(flatten)]
    scores: Scores,
}

impl Row {
    pub fn new(item: &ImageItem, truth: &Mask, scores: Scores) -> Self {
        Self {
            image: item.image.clone(),
            mask: item.mask.clone(),
            source: item.source().to_owned(),
            area: truth.area() as f64 / (truth.width() * truth.height()) as f64,
            scores,
        }
    }
}

/// Mean IoU over some masks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Means {
    click1: f64,
    click3: f64,
    click5: f64,
    #[serde(rename = "box")]
    bounding_box: f64,
    /// Mean J over clips; absent where clips were not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    video_j: Option<f64>,
    /// Number of masks.
    n: usize,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    overall: Means,
    by_source: BTreeMap<String, Means>,
}

impl Summary {
    /// Means over all masks and over those of each source.
    pub fn new(rows: &[Row], video_j: Option<f64>) -> Self {
        let mut sources: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            sources.entry(row.source.clone()).or_default().push(row);
        }
        let by_source = sources
            .into_iter()
            .map(|(name, rows)| (name, means(&rows, None)));
        let all: Vec<&Row> = rows.iter().collect();
        Self {
            overall: means(&all, video_j),
            by_source: by_source.collect(),
        }
    }

    /// Lines for people.
    pub fn table(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:14}{:>8}{:>8}{:>8}{:>8}{:>8}{:>6}",
            "", "1 click", "3", "5", "box", "video", "n"
        )];
        let overall = std::iter::once(("overall", &self.overall));
        for (name, m) in overall.chain(self.by_source.iter().map(|(n, m)| (n.as_str(), m))) {
            let video = m
                .video_j
                .map_or_else(|| "-".to_owned(), |j| format!("{j:.3}"));
            lines.push(format!(
                "{name:14}{:>8.3}{:>8.3}{:>8.3}{:>8.3}{video:>8}{:>6}",
                m.click1, m.click3, m.click5, m.bounding_box, m.n
            ));
        }
        lines
    }
}

fn means(rows: &[&Row], video_j: Option<f64>) -> Means {
    let mean = |of: &dyn Fn(&Scores) -> f64| {
        let sum: f64 = rows.iter().map(|r| of(&r.scores)).sum();
        (sum / rows.len().max(1) as f64 * 1e4).round() / 1e4
    };
    Means {
        click1: mean(&|s| s.clicks[0].iou),
        click3: mean(&|s| s.clicks[2].iou),
        click5: mean(&|s| s.clicks[4].iou),
        bounding_box: mean(&|s| s.bounding_box.iou),
        video_j,
        n: rows.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Score;
    use super::*;

    fn row(source: &str, iou: f64) -> Row {
        let score = |iou| Score {
            iou,
            predicted: 0.5,
        };
        let clicks = [
            score(iou),
            score(0.0),
            score(iou / 2.0),
            score(0.0),
            score(1.0),
        ];
        let scores = Scores {
            clicks,
            bounding_box: score(0.25),
        };
        Row {
            image: "a".into(),
            mask: "b".into(),
            source: source.into(),
            area: 0.1,
            scores,
        }
    }

    #[test]
    fn means_are_over_masks_and_by_source() {
        let summary = Summary::new(
            &[row("coco", 0.2), row("voc", 0.4), row("voc", 0.6)],
            Some(0.7),
        );
        let json = serde_json::to_value(&summary).unwrap();
        let overall = serde_json::json!({
            "click1": 0.4, "click3": 0.2, "click5": 1.0, "box": 0.25, "video_j": 0.7, "n": 3
        });
        assert_eq!(json["overall"], overall);
        assert_eq!(json["by_source"]["voc"]["click1"], 0.5);
        assert_eq!(json["by_source"]["coco"].get("video_j"), None);
        assert_eq!(summary.table().len(), 4);
    }
}
