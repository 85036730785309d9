import { jest } from '@jest/globals';

// Loaded before each unit test file: what is asserted is what happens, not how fast, and machines are busy.
jest.setTimeout(30_000);
