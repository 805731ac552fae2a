//! Values under keys that are never used again. Must not know what the values are.

/// The key of a value in a [`Table`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    pub(super) index: u32,
    /// How many values have had this index before.
    pub(super) generation: u32,
}

/// A vector whose places are used again, under another key each time.
pub(super) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Puts in the value that `make` makes for its key.
    pub(super) fn insert(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                value: None,
            });
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 values")
        });
        let place = &mut self.places[index as usize];
        let key = Key {
            index,
            generation: place.generation,
        };
        place.value = Some(make(key));
        key
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        let is_it = place.generation == key.generation;
        place.value.as_mut().filter(|_| is_it)
    }

    /// The value that has this index now.
    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.places.get_mut(index)?.value.as_mut()
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places
            .iter_mut()
            .filter_map(|place| place.value.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_one_value_only() {
        let mut table = Table::new();
        let first = table.insert(|_| 'a');
        let second = table.insert(|key| if key.index == 1 { 'b' } else { '?' });
        assert_eq!(table.remove(first), Some('a'));
        assert_eq!(table.remove(first), None);
        let third = table.insert(|_| 'c');
        assert_eq!((third.index, table.len()), (first.index, 2));
        assert_ne!(third, first);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get_mut(third), Some(&mut 'c'));
        assert_eq!(table.at_mut(0), Some(&mut 'c'));
        assert_eq!(table.get_mut(second), Some(&mut 'b'));
        assert_eq!(table.at_mut(2), None);
        assert_eq!(
            table.values_mut().map(|value| *value).collect::<String>(),
            "cb"
        );
    }
}
