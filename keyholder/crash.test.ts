/**
 * A holder killed at the points where losing or repeating would hurt most; all points:
 * crash.slow.test.ts.
 */
import { crashSuite } from './testing-crash-suite.ts';

crashSuite('bfv', { accept: [], certify: ['statement:stored'], open: ['partial:computed'], ceremony: [] });
crashSuite('shares', { accept: ['entries:checked'], certify: [], open: ['partial:computed'], ceremony: [] });
