/**
 * A holder killed at the points where losing or repeating would hurt most; all points:
 * crash.slow.test.ts.
 */
import { crashSuite } from './testing-crash-suite.ts';

crashSuite({
  accept: ['entries:checked'],
  certify: ['statement:stored'],
  open: ['partial:computed'],
  ceremony: [],
});
