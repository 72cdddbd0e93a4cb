//! Image features of recently used frames, under a byte budget.

use super::sealed::SealedFeatures;
use std::collections::VecDeque;

/// Least recently used first out.
#[derive(Debug)]
pub(super) struct FeatureCache {
    /// The most recently used last.
    entries: VecDeque<(usize, SealedFeatures)>,
    budget: usize,
    bytes: usize,
}

impl FeatureCache {
    pub fn new(budget: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            budget,
            bytes: 0,
        }
    }

    pub fn get(&mut self, frame: usize) -> Option<SealedFeatures> {
        let at = self.entries.iter().position(|(f, _)| *f == frame)?;
        let entry = self.entries.remove(at)?;
        let features = entry.1.clone();
        self.entries.push_back(entry);
        Some(features)
    }

    /// Keeps features; the newest stay whatever the budget.
    pub fn insert(&mut self, frame: usize, features: SealedFeatures) {
        self.remove(frame);
        self.bytes += bytes_of(&features);
        self.entries.push_back((frame, features));
        while self.bytes > self.budget && self.entries.len() > 1 {
            if let Some((_, old)) = self.entries.pop_front() {
                self.bytes -= bytes_of(&old);
            }
        }
    }

    pub fn remove(&mut self, frame: usize) {
        if let Some(at) = self.entries.iter().position(|(f, _)| *f == frame)
            && let Some((_, old)) = self.entries.remove(at)
        {
            self.bytes -= bytes_of(&old);
        }
    }

    /// Drops the features of frames before `oldest`.
    pub fn forget_before(&mut self, oldest: usize) {
        self.entries.retain(|(frame, _)| *frame >= oldest);
        let kept = self.entries.iter();
        self.bytes = kept.map(|(_, features)| bytes_of(features)).sum();
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn bytes_of(features: &SealedFeatures) -> usize {
    let embed: usize = features.embed.dims().iter().product();
    let high_res = features.high_res.as_ref().map_or(0, |levels| {
        [&levels.s0, &levels.s1]
            .map(|t| t.dims().iter().product::<usize>())
            .iter()
            .sum()
    });
    (embed + high_res) * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_model::ImageFeatures;
    use sam2_model::ops::from_vec;

    /// 400 bytes.
    fn features(value: f32) -> SealedFeatures {
        let cpu = crate::Runtime::cpu("");
        let features = ImageFeatures {
            embed: from_vec(vec![value; 100], [1, 25, 4], cpu.device()),
            high_res: None,
        };
        SealedFeatures::new(&cpu, features)
    }

    #[test]
    fn least_recently_used_goes_first_and_the_budget_holds() {
        let mut cache = FeatureCache::new(1000);
        cache.insert(7, features(7.0));
        cache.insert(8, features(8.0));
        assert!(cache.get(7).is_some());
        cache.insert(9, features(9.0));
        assert_eq!((cache.len(), cache.bytes()), (2, 800));
        assert!(cache.get(8).is_none(), "7 was used after 8");
        let kept = cache
            .get(7)
            .unwrap()
            .embed
            .clone()
            .into_data()
            .try_into_vec::<f32>()
            .unwrap();
        assert_eq!(kept[0], 7.0);
        cache.insert(7, features(70.0));
        assert_eq!(cache.bytes(), 800, "an entry is replaced, not added");
        cache.forget_before(8);
        assert_eq!((cache.len(), cache.bytes()), (1, 400));
        let mut small = FeatureCache::new(10);
        small.insert(1, features(1.0));
        small.insert(2, features(2.0));
        assert_eq!(small.len(), 1, "the newest stays whatever the budget");
        assert!(small.get(2).is_some());
    }
}
