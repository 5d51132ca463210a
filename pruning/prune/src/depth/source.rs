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

    /// Scale of the last norm.
    ///
    /// # Errors
    /// It cannot be read.
    fn norm(&self) -> Result<Vec<f32>, LmFault>;

    /// The head, vocab × width; none where it is the embedding.
    ///
    /// # Errors
    /// It cannot be read.
    fn head(&self) -> Result<Option<Matrix>, LmFault>;
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

    fn norm(&self) -> Result<Vec<f32>, LmFault> {
        Checkpoint::norm(self)
    }

    fn head(&self) -> Result<Option<Matrix>, LmFault> {
        Checkpoint::head(self)
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

    fn norm(&self) -> Result<Vec<f32>, LmFault> {
        Ok(self.norm.clone())
    }

    fn head(&self) -> Result<Option<Matrix>, LmFault> {
        Ok(self.head.clone())
    }
}
