import { jest } from '@jest/globals';

// Loaded before each end-to-end file: pods are real, and machines are busy.
jest.setTimeout(120_000);
