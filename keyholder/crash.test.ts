/**
 * A holder killed at the two points where losing or repeating would hurt most; all points:
 * crash.slow.test.ts.
 */
import { crashSuite } from './testing-crash-suite.ts';

crashSuite({ certify: ['statement:stored'], open: ['partial:computed'], ceremony: [] });
