//! Where the parts of a model come from: files, one block at a time, or memory.

use secateur_nn::lm::{Block, Checkpoint, Config, LmFault, Matrix, Model};

/// Parts of a model that are there when they are asked for.
pub trait Source {
    /// Sizes and constants.
    fn config(&self) -> &Config;

    /// A block.
    ///
    /// # Errors
    /// It cannot be read.
    fn block(&self, block: usize) -> Result<Block, LmFault>;

    /// The embedding: vocab × width.
    ///
    /// # Errors
    /// It cannot be read.
    fn embedding(&self) -> Result<Matrix, LmFault>;
}

impl Source for Checkpoint {
    fn config(&self) -> &Config {
        Checkpoint::config(self)
    }

    fn block(&self, block: usize) -> Result<Block, LmFault> {
        Checkpoint::block(self, block)
    }

    fn embedding(&self) -> Result<Matrix, LmFault> {
        Checkpoint::embedding(self)
    }
}

impl Source for Model {
    fn config(&self) -> &Config {
        &self.config
    }

    fn block(&self, block: usize) -> Result<Block, LmFault> {
        Ok(self.blocks[block].clone())
    }

    fn embedding(&self) -> Result<Matrix, LmFault> {
        Ok(self.embedding.clone())
    }
}
