//! Where the parts of a model come from: files, one block at a time, or memory.

use secateur_nn::lm::{Block, Checkpoint, Config, HeadNorms, LmFault, Matrix, Model};

/// Parts of a model that are there when they are asked for.
pub trait Source {
    /// Sizes and constants.
    fn config(&self) -> &Config;

    /// A block.
    ///
    /// # Errors
    /// It cannot be read.
    fn block(&self, block: usize) -> Result<Block, LmFault>;

    /// The norms of a block's heads, where it has some.
    ///
    /// # Errors
    /// They cannot be read.
    fn head_norms(&self, block: usize) -> Result<Option<HeadNorms>, LmFault>;

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

    fn head_norms(&self, block: usize) -> Result<Option<HeadNorms>, LmFault> {
        Checkpoint::head_norms(self, block)
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

    fn head_norms(&self, block: usize) -> Result<Option<HeadNorms>, LmFault> {
        Ok(self.blocks[block].head_norms.clone())
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
