/** A holder killed at every point before and after it accepts, signs, opens and answers. */
import { crashSuite } from './testing-crash-suite.ts';

for (const transport of ['bfv', 'shares'] as const)
  crashSuite(transport, {
    accept: ['entries:checked', 'entries:stored'],
    certify: ['statement:before-sign', 'statement:signed', 'statement:stored'],
    open: ['partial:before', 'partial:computed', 'partial:stored'],
    ceremony: ['ceremony:answered', 'ceremony:stored'],
  });
